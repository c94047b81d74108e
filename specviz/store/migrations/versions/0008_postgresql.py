"""PostgreSQL alone: texts compare as SQLite's do, whatever the server's locale, and are searched by trigrams.

Where pg_trgm cannot be had a search reads every text, as it does on SQLite.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.exc import DBAPIError

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TEXTS = {
    "groups": ("id", "created_at", "kind", "title"),
    "runs": (
        *("id", "created_at", "added_at", "deleted_at", "heartbeat_at", "status", "method", "model", "task", "origin"),
        *("group_id", "baseline_run_id", "visitor", "prompt", "text", "note"),
    ),
    "steps": ("run_id",),
    "tags": ("run_id", "name"),
}
_SEARCHED = ("prompt", "text", "note", "id")


def upgrade() -> None:
    """To this revision."""
    if op.get_context().dialect.name != "postgresql":
        return
    _collate('"C"')
    if not context.is_offline_mode() and _has_trigrams():
        op.create_index(
            "ix_runs_search",
            "runs",
            list(_SEARCHED),
            postgresql_using="gin",
            postgresql_ops=dict.fromkeys(_SEARCHED, "gin_trgm_ops"),
        )


def downgrade() -> None:
    """Back to the one before."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP INDEX IF EXISTS ix_runs_search")
        _collate('"default"')


def _collate(collation: str) -> None:
    for table, columns in _TEXTS.items():
        told = ", ".join(f"ALTER COLUMN {name} TYPE text COLLATE {collation}" for name in columns)
        op.execute(f"ALTER TABLE {table} {told}")


def _has_trigrams() -> bool:
    """Make the extension where it is not there yet; a server may lack it, or not let this user make it."""
    connection = op.get_bind()
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError:
        return False
    return True
