"""What was said before a run's prompt, to be searched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from specviz.store.exact import ExactJson, ExactText
from specviz.store.tally import said_before

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("runs", sa.Column("said", sa.Text(), nullable=False, server_default=""))
    if context.is_offline_mode():  # what is printed makes an empty database
        return
    connection = op.get_bind()
    columns = sa.column("id", sa.Text()), sa.column("config", ExactJson()), sa.column("said", ExactText())
    runs = sa.table("runs", *columns)
    in_turns = sa.select(runs.c.id, runs.c.config).where(sa.type_coerce(runs.c.config, sa.Text()).like('%"messages":%'))
    for run_id, settings in connection.execute(in_turns).all():
        connection.execute(runs.update().where(runs.c.id == run_id).values(said=said_before(settings)))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("runs", "said")
