"""`audit --sampled`: whether the tokens of sampled runs are draws from the target, method by method, rule by rule."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import drafters, verify
from engine.commands.flags import check_folder, config_of, load_target, method_names, questions_of, write_file
from engine.config import GenerationConfig
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.sampled_audit import MethodAudit
    from engine.sampled_counts import Plan
    from engine.target import Target

SETTINGS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.7},
    {"temperature": 1.0},
    {"temperature": 1.0, "top_p": 0.9},
    {"temperature": 1.0, "top_k": 20},
)
"""Audited where no temperature is asked for."""
DISTORTION = 0.05
SECONDS_BETWEEN = 60.0
"""A report is written that often while an audit goes on."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--sampled",
        action="store_true",
        help="statistics of sampled runs: each method under each rule, at --temperature or at several settings",
    )
    parser.add_argument("--rules", default="all", help="with --sampled: rules parted by commas, or all (default: all)")
    parser.add_argument(
        "--distortion",
        type=float,
        default=DISTORTION,
        help="with --sampled: the total variation to be seen with probability 0.99, all settings together; in one of "
        f"four, twice as much (default: {DISTORTION})",
    )
    parser.add_argument("--seconds", type=float, default=0.0, help="with --sampled: most time in all; 0 no end")
    parser.add_argument("--report", type=Path, metavar="FILE", help="with --sampled: write the JSON report here too")


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    from engine.sampled_audit import in_rounds
    from engine.sampled_counts import Plan

    if not 0 < args.distortion < 1:
        raise BadInput(f"--distortion is {args.distortion:g}; wanted a number above 0 and below 1.")
    check_folder("--report", args.report)
    names, rules, configs = method_names(args.methods), rule_names(args.rules), settings_of(args)
    questions = questions_of(args)
    target = load_target(args)
    groups = [*_groups(target, names, rules, configs, tells=args.methods != "all" and args.rules != "all")]
    num_tests = _num_findings(configs) * sum(verify.get(rule).guarantee == "exact" for _, rule in groups)
    plan = Plan.to_see(args.distortion, num_tests)
    prompts = [target.facts.encode(question.turns[0]) for question in questions]
    audits = _audits(target, groups, configs, prompts, plan)
    told = {"model": target.facts.name, **_said(args, configs[0], plan, num_tests, len(prompts))}
    written = time.monotonic()
    for _ in in_rounds([*audits.values()], args.seconds or float("inf")):
        if args.report and time.monotonic() - written > SECONDS_BETWEEN:
            write_file(args.report, _report(told, _rows(audits, configs)))
            written = time.monotonic()
    rows = _rows(audits, configs)
    print(_report(told, rows) if args.json else "\n".join(map(_line, rows)))
    if args.report:
        write_file(args.report, _report(told, rows))
    return 1 if any(row["verdict"] in ("DIFFERENT", "failed") for row in rows) else 0


def _audits(
    target: Target,
    groups: Sequence[tuple[str, str]],
    configs: Sequence[GenerationConfig],
    prompts: Sequence[Sequence[int]],
    plan: Plan,
) -> dict[tuple[str, str], MethodAudit]:
    """By method and rule."""
    from engine.sampled_audit import MethodAudit, PlainTexts, by_preference

    key, plain = by_preference(target), PlainTexts(target)
    return {
        (name, rule): MethodAudit(
            functools.partial(drafters.create, name, {}, target),
            [_under(rule, config) for config in configs],
            prompts,
            plan,
            key,
            plain,
        )
        for name, rule in groups
    }


def _num_findings(configs: Sequence[GenerationConfig]) -> int:
    """Of a method under a rule: each setting's, and that of several together."""
    return len(configs) + (len(configs) > 1)


def _said(
    args: argparse.Namespace, config: GenerationConfig, plan: Plan, num_tests: int, num_prompts: int
) -> dict[str, Any]:
    """What a report says of itself."""
    from engine.chi_square import POWER
    from engine.sampled_counts import FAMILY_ALPHA, PARTS, SAME, num_same

    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "distortion": args.distortion,
        "power": POWER,
        "family_alpha": FAMILY_ALPHA,
        "num_tests": num_tests,
        "alpha": plan.alpha,
        "num_parts": PARTS,
        "num_tokens": plan.num_tokens,
        "same_distortion": SAME,
        "num_same": num_same(),
        "max_new_tokens": config.max_new_tokens,
        "num_prompts": num_prompts,
        "seconds": args.seconds,
    }


def _report(told: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    return json.dumps({**told, "rows": [*rows]}, indent=2, allow_nan=False) + "\n"


def _line(row: dict[str, Any]) -> str:
    return f"{row['method']:<16} {row['rule']:<18} {row['setting']:<16} {row['text']}"


def rule_names(given: str) -> list[str]:
    """Rules that draw, by names parted by commas, or all of them. Raises UnknownName or BadInput."""
    names = [*verify.names()] if given == "all" else given.split(",")
    found = [name for name in names if verify.get(name).needs_temperature != "zero"]
    if not found:
        raise BadInput(f"--rules is {given}; wanted rules that work above temperature 0.")
    return found


def settings_of(args: argparse.Namespace) -> list[GenerationConfig]:
    """The setting that is asked for, or the several. Raises BadInput."""
    given = config_of(args)
    if not given.is_greedy:
        return [given]
    return [GenerationConfig(**{**vars(given), **setting}) for setting in SETTINGS]


def _groups(
    target: Target, names: Sequence[str], rules: Sequence[str], configs: Sequence[GenerationConfig], *, tells: bool
) -> Iterator[tuple[str, str]]:
    """Methods under rules that can be audited; the rest, where it lacks something or was named, on stderr."""
    from engine.sampled_audit import refusal

    for name in names:
        if lacking := drafters.get(name).unavailable(target):
            print(f"Not audited: {name}. {lacking}", file=sys.stderr)
            continue
        drafter = drafters.create(name, {}, target)
        for rule in rules:
            if reason := refusal(drafter, _under(rule, configs[0])):
                if tells:
                    print(f"Not audited: {name} under {rule}. {reason}", file=sys.stderr)
                continue
            yield name, rule


def _under(rule: str, config: GenerationConfig) -> GenerationConfig:
    return GenerationConfig(**{**vars(config), "rule": rule})


def _rows(audits: Mapping[tuple[str, str], MethodAudit], configs: Sequence[GenerationConfig]) -> list[dict[str, Any]]:
    """A row for each finding."""
    settings = [*map(in_words, configs), "all settings"]
    return [
        {"method": name, "rule": rule, "setting": setting, **dataclasses.asdict(one), "text": one.text}
        for (name, rule), audit in audits.items()
        for setting, one in zip(settings, audit.findings(), strict=False)
    ]


def in_words(config: GenerationConfig) -> str:
    """Temperature and what cuts the distribution."""
    parts = [f"T {config.temperature:g}"]
    parts += [f"top-p {config.top_p:g}"] * (config.top_p < 1) + [f"top-k {config.top_k}"] * (config.top_k > 0)
    return ", ".join(parts)
