"""The tables. `docs/schema.md` says what each column means; a test keeps the two together.

Counts and nanoseconds are stored, ratios never: a changed definition needs no migration.
A change here needs a new file in `migrations/versions/`; a test compares them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from specviz.store.exact import ExactJson, ExactText

BROWSED = (
    *("deleted_at", "added_at", "id", "created_at", "status", "method", "model", "task", "temperature"),
    *("steps", "proposed", "accepted", "emitted", "target_passes", "decode_ns", "origin", "sharing", "visitor"),
)
"""All that lists are filtered and sorted by, searched text aside: one index answers every such question, newest first,
without a look at the rows themselves. On PostgreSQL the index holds the first three."""

_NAMES = {  # named constraints can be altered later on every database
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Root of the tables."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: ExactText,
        int: BigInteger,
        dict[str, Any]: ExactJson,
        list[int]: ExactJson,
    }


class Group(Base):
    """Runs that belong together: a comparison or a benchmark."""

    __tablename__ = "groups"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class Run(Base):
    """One session. The long columns come last, so that listing and searching skip their pages."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_browse", *BROWSED),
        Index(None, "group_id"),
        Index(None, "baseline_run_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[str]
    status: Mapped[str]
    method: Mapped[str]
    guarantee: Mapped[str]
    model: Mapped[str]
    task: Mapped[str] = mapped_column(server_default="")
    device: Mapped[str]
    dtype: Mapped[str]
    temperature: Mapped[float | None]
    seed: Mapped[int | None]
    max_new_tokens: Mapped[int | None]
    reason: Mapped[str | None]
    message: Mapped[str]
    steps: Mapped[int]
    proposed: Mapped[int]
    accepted: Mapped[int]
    emitted: Mapped[int]
    target_passes: Mapped[int]
    num_prompt_tokens: Mapped[int]
    prefill_ns: Mapped[int | None]
    decode_ns: Mapped[int | None]
    draft_ns: Mapped[int]
    target_ns: Mapped[int]
    verify_ns: Mapped[int]
    commit_ns: Mapped[int]
    host_ns: Mapped[int]
    acceptance_histogram: Mapped[list[int] | None]
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id", ondelete="SET NULL"))
    baseline_run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    owner: Mapped[str]
    heartbeat_at: Mapped[str]
    origin: Mapped[str] = mapped_column(server_default="unknown")
    added_at: Mapped[str] = mapped_column(server_default="")
    deleted_at: Mapped[str] = mapped_column(server_default="")
    note: Mapped[str] = mapped_column(server_default="")
    visitor: Mapped[str] = mapped_column(server_default="")
    sharing: Mapped[str] = mapped_column(server_default="listed")
    prompt: Mapped[str]
    said: Mapped[str] = mapped_column(server_default="")
    method_options: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    machine: Mapped[dict[str, Any]]
    audit: Mapped[dict[str, Any] | None]
    text: Mapped[str]


class Step(Base):
    """One event of a run, SessionStarted and SessionFinished included."""

    __tablename__ = "steps"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    payload: Mapped[str]


class Tag(Base):
    """A word that a user put on a run."""

    __tablename__ = "tags"
    __table_args__ = (Index(None, "name"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


def table(model: type[Base]) -> Table:
    """The table of a model, for statements without objects."""
    return Base.metadata.tables[model.__tablename__]


RUNS, STEPS, GROUPS, TAGS = table(Run), table(Step), table(Group), table(Tag)
