"""A run's task, note and deletion, and one index for every list of runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXTS = ("task", "deleted_at", "note")
_OLD = (("created_at", "id"), ("status", "created_at"), ("method", "created_at"))
_BROWSED = (
    *("deleted_at", "created_at", "id", "status", "method", "model", "task", "temperature"),
    *("steps", "proposed", "accepted", "emitted", "target_passes", "decode_ns"),
)


def upgrade() -> None:
    """To this revision."""
    for name in _TEXTS:
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    for columns in _OLD:
        op.drop_index(f"ix_runs_{'_'.join(columns)}", table_name="runs")
    op.create_index("ix_runs_browse", "runs", list(_BROWSED))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_runs_browse", table_name="runs")
    for columns in _OLD:
        op.create_index(f"ix_runs_{'_'.join(columns)}", "runs", list(columns))
    for name in reversed(_TEXTS):
        op.drop_column("runs", name)
