"""`methods`: lists the decoding methods, and the suites to measure them on."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from engine import drafters, options, suites


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--model", default=None, help="say which methods are available for this model")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    rows = [_describe(name) for name in drafters.names()]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(
            f"{row['name']:<16} {row['guarantee']:<6} needs {row['needs']}. {row['source']}\n{'':<16} {row['summary']}"
        )
        for spec in row["options"]:
            print(f"{'':<18} {spec['name']}={spec['default']}: {spec['help']}")
    for kind in suites.OWN:
        print(f"Suites for a {kind} model: {', '.join(suites.own_names(kind))}")
    print(f"Suites of the field, found: {', '.join(suites.field_names()) or 'none'}")
    return 0


def _describe(name: str) -> dict[str, Any]:
    drafter = drafters.get(name)
    return {
        "name": name,
        "title": drafter.title,
        "summary": drafter.summary,
        "source": drafter.source,
        "needs": drafter.needs.describe(),
        "guarantee": drafter.guarantee,
        "options": [dataclasses.asdict(spec) for spec in options.specs(drafter.Options)],
        "available": drafter.unavailable() is None,
    }
