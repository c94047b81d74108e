"""`audit`: compares methods with plain decoding, token by token, or their statistics with the target's law."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine import drafters
from engine.commands import sampled
from engine.commands.flags import (
    add_config_flags,
    add_model_flags,
    add_suite_flags,
    config_of,
    load_target,
    method_names,
    questions_of,
    tell_caveats,
)
from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.events import Event, SessionFinished

if TYPE_CHECKING:
    from engine.suites import Question
    from engine.target import Target


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--methods", default="all", help="names parted by commas, or all (default: all)")
    add_suite_flags(parser, limit=2)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    add_model_flags(parser)
    add_config_flags(parser)
    sampled.add(parser)
    parser.set_defaults(run=run, max_new_tokens=100)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    if args.sampled:
        return sampled.run(args)
    names = method_names(args.methods)
    config, questions = config_of(args), questions_of(args)
    target = load_target(args)
    if args.methods == "all":
        names = _available(names, target)
    tell_caveats(*drafters.caveats({name: {} for name in names}, target))
    rows = []
    for question in questions:
        for row in _rows(target, question, names, config):
            rows.append(row)
            if not args.json:
                print(f"{row['method']:<16} {row['suite']:<10} {row['text']}", flush=True)
    if args.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    return 1 if any(row["verdict"] in ("DIFFERENT", "failed") for row in rows) else 0


def _available(names: Sequence[str], target: Target) -> list[str]:
    """Those that can run on this target; the others are named on stderr, with what they lack."""
    lacking = {name: reason for name in names if (reason := drafters.get(name).unavailable(target)) is not None}
    for name, reason in lacking.items():
        print(f"Not audited: {name}. {reason}", file=sys.stderr)
    return [name for name in names if name not in lacking]


def _rows(
    target: Target, question: Question, names: Sequence[str], config: GenerationConfig
) -> Iterator[dict[str, Any]]:
    """What was found of each method on one question. Raises RunFailed where plain decoding itself fails."""
    from engine.audit import audit, plain_run
    from engine.loop import generate

    prompt_ids = target.facts.encode(question.turns[0])
    plain = plain_run(target, prompt_ids, config)
    if problem := _failure(plain):
        raise RunFailed(f"Plain decoding failed, so there is nothing to compare with. {problem}")
    for name in names:
        drafter = drafters.create(name, {}, target)
        run = list(generate(target, drafter, prompt_ids, config))
        asked = {"method": name, "suite": question.suite, "prompt": question.turns[0], "caveat": drafter.caveat}
        if problem := _failure(run):
            yield {**asked, "verdict": "failed", "text": f"failed: {problem}"}
        else:
            finding = audit(target, plain, run)
            yield {**asked, **dataclasses.asdict(finding), "text": finding.text}


def _failure(run: Sequence[Event]) -> str:
    """Why a run broke; empty where it did not."""
    last = run[-1]
    return last.message if isinstance(last, SessionFinished) and last.reason == "failed" else ""
