"""When and whence a run came into the database. Lists go by the time it was added, which no file can choose.

What was there before was added when it began or, where its time lies behind its last writing, when it was written.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OLD = (
    *("deleted_at", "created_at", "id", "status", "method", "model", "task", "temperature"),
    *("steps", "proposed", "accepted", "emitted", "target_passes", "decode_ns"),
)
_BROWSED = ("deleted_at", "added_at", "id", "created_at", *_OLD[3:], "origin")
_FEW = 3
"""PostgreSQL refuses an index entry above 2,704 bytes, and names of models are as long as they like."""


def upgrade() -> None:
    """To this revision."""
    op.add_column("runs", sa.Column("origin", sa.Text(), nullable=False, server_default="unknown"))
    op.add_column("runs", sa.Column("added_at", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE runs SET added_at = CASE WHEN created_at < heartbeat_at THEN created_at ELSE heartbeat_at END")
    op.drop_index("ix_runs_browse", table_name="runs")
    is_small = op.get_context().dialect.name == "postgresql"
    op.create_index("ix_runs_browse", "runs", list(_BROWSED[:_FEW] if is_small else _BROWSED))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_runs_browse", table_name="runs")
    op.create_index("ix_runs_browse", "runs", list(_OLD))
    op.drop_column("runs", "added_at")
    op.drop_column("runs", "origin")
