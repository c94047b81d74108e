"""How many steps of a run accepted how many drafted tokens; empty for runs that were saved before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("runs", sa.Column("acceptance_histogram", sa.Text(), nullable=True))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("runs", "acceptance_histogram")
