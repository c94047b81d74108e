"""`audit`: compares methods with plain decoding, token by token."""

from __future__ import annotations

import argparse
import dataclasses
import json

from engine import drafters
from engine.commands.flags import (
    add_config_flags,
    add_model_flags,
    add_suite_flags,
    check_at_least_one,
    config_of,
    method_names,
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--methods", default="all", help="names parted by commas, or all (default: all)")
    add_suite_flags(parser, limit=2)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    add_model_flags(parser)
    add_config_flags(parser)
    parser.set_defaults(run=run, max_new_tokens=100)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    from engine import models, suites
    from engine.audit import audit, plain_run
    from engine.loop import generate
    from engine.target import Target

    names = method_names(args.methods)
    check_at_least_one("--limit", args.limit)
    config, questions = config_of(args), suites.questions(args.suite, args.limit)
    target = Target(models.load(args.model, args.device, args.dtype))
    rows = []
    for question in questions:
        prompt_ids = target.loaded.encode(question.turns[0])
        plain = plain_run(target, prompt_ids, config)
        for name in names:
            run = list(generate(target, drafters.create(name, {}, target), prompt_ids, config))
            finding = audit(target, plain, run)
            row = {
                "method": name,
                "suite": question.suite,
                "prompt": question.turns[0],
                **dataclasses.asdict(finding),
                "text": finding.text,
            }
            rows.append(row)
            if not args.json:
                print(f"{name:<16} {question.suite:<10} {finding.text}", flush=True)
    if args.json:
        print(json.dumps(rows, indent=2))
    return 1 if any(row["verdict"] == "DIFFERENT" for row in rows) else 0
