"""What was said before a run's prompt, to be searched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from specviz.store.exact import ExactJson, ExactText
from specviz.store.tally import said_before

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("runs", sa.Column("said", sa.Text(), nullable=False, server_default=""))
    if op.get_context().dialect.name == "postgresql":
        _as_other_texts()
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


def _as_other_texts() -> None:
    """PostgreSQL: compared and searched as revision 0008 has it."""
    op.execute('ALTER TABLE runs ALTER COLUMN said TYPE text COLLATE "C"')
    has_trigrams = sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
    if not context.is_offline_mode() and op.get_bind().execute(has_trigrams).first():
        op.create_index(
            "ix_runs_said", "runs", ["said"], postgresql_using="gin", postgresql_ops={"said": "gin_trgm_ops"}
        )
