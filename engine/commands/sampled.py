"""`audit --sampled`: whether the tokens of sampled runs are draws from the target, method by method, rule by rule."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import drafters, verify
from engine.commands.flags import check_folder, config_of, load_target, method_names, questions_of, write_file
from engine.config import GenerationConfig
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.target import Target

SETTINGS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.7},
    {"temperature": 1.0},
    {"temperature": 1.0, "top_p": 0.9},
    {"temperature": 1.0, "top_k": 20},
)
"""Audited where no temperature is asked for."""
DISTORTION = 0.05


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
        help=f"with --sampled: the total variation to be seen with probability 0.99 (default: {DISTORTION})",
    )
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="with --sampled: most time for a method, rule and setting; 0 no end"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="with --sampled: write the JSON report here too")


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    from engine.chi_square import POWER, num_samples
    from engine.sampled_audit import FAMILY_ALPHA, NUM_CELLS, by_preference

    if not 0 < args.distortion < 1:
        raise BadInput(f"--distortion is {args.distortion:g}; wanted a number above 0 and below 1.")
    check_folder("--report", args.report)
    names, rules, configs = method_names(args.methods), rule_names(args.rules), settings_of(args)
    questions = questions_of(args)
    target = load_target(args)
    cells = [*_cells(target, names, rules, configs, tells=args.methods != "all" and args.rules != "all")]
    num_tests = sum(config.verification_rule.guarantee == "exact" for _, _, config in cells)
    alpha = FAMILY_ALPHA / max(1, num_tests)
    num_pairs = num_samples(args.distortion, NUM_CELLS, alpha)
    told = {
        "model": target.facts.name,
        "distortion": args.distortion,
        "power": POWER,
        "family_alpha": FAMILY_ALPHA,
        "num_tests": num_tests,
        "alpha": alpha,
        "num_cells": NUM_CELLS,
        "num_pairs": num_pairs,
    }
    prompts = [target.facts.encode(question.turns[0]) for question in questions]
    rows = []
    for row in _rows(target, cells, prompts, num_pairs, alpha, by_preference(target), args.seconds or float("inf")):
        rows.append(row)
        if not args.json:
            print(f"{row['method']:<16} {row['rule']:<18} {row['setting']:<22} {row['text']}", flush=True)
    report = json.dumps({**told, "rows": rows}, indent=2, allow_nan=False)
    if args.json:
        print(report)
    if args.report:
        write_file(args.report, report + "\n")
    return 1 if any(row["verdict"] in ("DIFFERENT", "failed") for row in rows) else 0


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


def _cells(
    target: Target, names: Sequence[str], rules: Sequence[str], configs: Sequence[GenerationConfig], *, tells: bool
) -> Iterator[tuple[str, str, GenerationConfig]]:
    """Method, rule and settings of what can be audited; the rest, where it lacks something or was named, on stderr."""
    from engine.sampled_audit import refusal

    for name in names:
        if lacking := drafters.get(name).unavailable(target):
            print(f"Not audited: {name}. {lacking}", file=sys.stderr)
            continue
        drafter = drafters.create(name, {}, target)
        for rule in rules:
            ruled = [GenerationConfig(**{**vars(config), "rule": rule}) for config in configs]
            if reason := refusal(drafter, ruled[0]):
                if tells:
                    print(f"Not audited: {name} under {rule}. {reason}", file=sys.stderr)
                continue
            yield from ((name, rule, config) for config in ruled)


def _rows(
    target: Target,
    cells: Sequence[tuple[str, str, GenerationConfig]],
    prompts: Sequence[Sequence[int]],
    num_pairs: int,
    alpha: float,
    key: Any,
    seconds: float,
) -> Iterator[dict[str, Any]]:
    from engine.sampled_audit import sampled_audit

    for name, rule, config in cells:
        found = sampled_audit(
            target,
            lambda name=name: drafters.create(name, {}, target),  # type: ignore[misc]
            config,
            prompts,
            num_pairs,
            alpha,
            key,
            seconds,
        )
        asked = {"method": name, "rule": rule, "setting": in_words(config)}
        yield {**asked, **dataclasses.asdict(found), "text": found.text}


def in_words(config: GenerationConfig) -> str:
    """Temperature and what cuts the distribution."""
    parts = [f"T {config.temperature:g}"]
    parts += [f"top-p {config.top_p:g}"] * (config.top_p < 1) + [f"top-k {config.top_k}"] * (config.top_k > 0)
    return ", ".join(parts)
