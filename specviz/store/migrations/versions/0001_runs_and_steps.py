"""Runs with their events, groups of runs, and tags."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    """To this revision."""
    _create_groups()
    _create_runs()
    _create_steps()
    _create_tags()


def downgrade() -> None:
    """Back to an empty database."""
    for table in ("tags", "steps", "runs", "groups"):
        op.drop_table(table)


def _create_groups() -> None:
    op.create_table(
        "groups",
        _text("id"),
        _text("created_at"),
        _text("kind"),
        _text("title"),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        *(_text(name) for name in ("id", "created_at", "status", "method", "guarantee", "model", "device", "dtype")),
        sa.Column("temperature", sa.Double(), nullable=True),
        _whole("seed", nullable=True),
        _whole("max_new_tokens", nullable=True),
        _text("reason", nullable=True),
        _text("message"),
        *(_whole(name) for name in ("steps", "proposed", "accepted", "emitted", "target_passes", "num_prompt_tokens")),
        _whole("prefill_ns", nullable=True),
        _whole("decode_ns", nullable=True),
        *(_whole(name) for name in ("draft_ns", "target_ns", "verify_ns", "commit_ns", "host_ns")),
        _text("group_id", nullable=True),
        _text("baseline_run_id", nullable=True),
        *(_text(name) for name in ("owner", "heartbeat_at", "prompt", "method_options", "config", "machine")),
        _text("audit", nullable=True),
        _text("text"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_runs_group_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["baseline_run_id"], ["runs.id"], name="fk_runs_baseline_run_id", ondelete="SET NULL"),
    )
    op.create_index("ix_runs_created_at_id", "runs", ["created_at", "id"])
    op.create_index("ix_runs_status_created_at", "runs", ["status", "created_at"])
    op.create_index("ix_runs_method_created_at", "runs", ["method", "created_at"])
    op.create_index("ix_runs_group_id", "runs", ["group_id"])
    op.create_index("ix_runs_baseline_run_id", "runs", ["baseline_run_id"])


def _create_steps() -> None:
    op.create_table(
        "steps",
        _text("run_id"),
        _whole("seq"),
        _text("payload"),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_steps"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_steps_run_id", ondelete="CASCADE"),
    )


def _create_tags() -> None:
    op.create_table(
        "tags",
        _text("run_id"),
        _text("name"),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_tags"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_tags_run_id", ondelete="CASCADE"),
    )
    op.create_index("ix_tags_name", "tags", ["name"])
