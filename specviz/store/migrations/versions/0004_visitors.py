"""Which browser made a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("runs", sa.Column("visitor", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("runs", "visitor")
