"""Runs that were imported from another time zone begin in UTC, as all others do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from specviz.times import as_utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    if context.is_offline_mode():  # what is printed makes an empty database
        return
    connection = op.get_bind()
    runs = sa.table("runs", sa.column("id", sa.Text()), sa.column("created_at", sa.Text()))
    foreign = sa.select(runs).where(runs.c.created_at.not_like("%+00:00"))
    for run_id, created_at in connection.execute(foreign).all():
        connection.execute(runs.update().where(runs.c.id == run_id).values(created_at=as_utc(created_at)))


def downgrade() -> None:
    """Back to the one before: the moments are the same."""
