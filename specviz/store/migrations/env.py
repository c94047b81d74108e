"""Alembic's entry: runs the migrations on the connection that `schema.migrate` hands over.

Without one (`alembic.command.upgrade(config, "head", sql=True)`), prints the SQL of the dialect named
by the option `dialect`.
"""

from __future__ import annotations

from alembic import context

from specviz.store.models import Base

if context.is_offline_mode():
    context.configure(
        dialect_name=context.config.get_main_option("dialect") or "sqlite",
        target_metadata=Base.metadata,
        literal_binds=True,
    )
else:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite alters a table by copying it
    )

with context.begin_transaction():
    context.run_migrations()
