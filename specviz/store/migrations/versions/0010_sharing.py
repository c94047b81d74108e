"""Who finds a run: everybody in the lists, or the browser that made it alone. What was there before is in the lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OLD = (
    *("deleted_at", "added_at", "id", "created_at", "status", "method", "model", "task", "temperature"),
    *("steps", "proposed", "accepted", "emitted", "target_passes", "decode_ns", "origin"),
)


def upgrade() -> None:
    """To this revision."""
    op.add_column("runs", sa.Column("sharing", sa.Text(), nullable=False, server_default="listed"))
    _index((*_OLD, "sharing", "visitor"))


def downgrade() -> None:
    """Back to the one before."""
    _index(_OLD)
    op.drop_column("runs", "sharing")


def _index(columns: tuple[str, ...]) -> None:
    """On PostgreSQL the index holds the first three columns, and stays as it is."""
    if op.get_context().dialect.name != "postgresql":
        op.drop_index("ix_runs_browse", table_name="runs")
        op.create_index("ix_runs_browse", "runs", list(columns))
