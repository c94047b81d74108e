"""`python -m specviz`: the store from the command line: a backup of it, and one brought back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from specviz.store import StoreError, restore_backup, save_backup

_DB = "database file or URL (default: SPECVIZ_DB, else specviz.db in your data folder)"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 where it cannot be done."""
    flags = _flags(arguments)
    try:
        if flags.command == "backup":
            print(f"{save_backup(flags.db, flags.file):,} runs were written to {flags.file.name}.")
        else:
            print(f"{restore_backup(flags.file, flags.db):,} runs were restored from {flags.file.name}.")
    except StoreError as error:
        print(f"specviz: {error}", file=sys.stderr)
        return 2
    return 0


def _flags(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m specviz", description="Back up and restore saved runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("backup", "write all runs into a new SQLite file, of one moment, while the program runs or not"),
        ("restore", "write all runs of a backup into a new database, SQLite or PostgreSQL"),
    ):
        command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        command.add_argument("file", type=Path, help="the backup")
        command.add_argument("--db", help=_DB)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
