"""What a group's runs were meant to be, and an index to list groups by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("groups", sa.Column("details", sa.Text(), nullable=False, server_default="{}"))
    op.create_index("ix_groups_created_at_id", "groups", ["created_at", "id"])


def downgrade() -> None:
    """Back to groups with a title only."""
    op.drop_index("ix_groups_created_at_id", table_name="groups")
    op.drop_column("groups", "details")
