"""`calibrate`: finds which layers a target can spare when it drafts for itself, and keeps what it found."""

from __future__ import annotations

import argparse
import time

from engine.commands.flags import (
    add_model_flags,
    add_suite_flags,
    check_at_least_one,
    load_target,
    questions_of,
    tell_caveats,
)
from engine.errors import BadInput

METHODS = ("self_speculation",)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("method", choices=METHODS, help="the method to calibrate")
    add_suite_flags(parser, limit=1)
    add_model_flags(parser)
    parser.add_argument("--max-new-tokens", type=int, default=48, help="tokens to decode of a question (default: 48)")
    parser.add_argument(
        "--limit-minutes",
        type=float,
        default=10.0,
        help="end after this time (default: 10); a later call goes on from what was found",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    from engine.bench.calibration import calibrate
    from engine.warming import warm_up

    check_at_least_one("--max-new-tokens", args.max_new_tokens)
    if not args.limit_minutes > 0:
        raise BadInput(f"--limit-minutes is {args.limit_minutes:g}; wanted a number above 0.")
    questions = questions_of(args)
    target = load_target(args)
    tell_caveats(target.caveat)
    warm_up(target)
    prompts = [target.facts.encode(question.turns[0]) for question in questions]
    deadline = time.monotonic() + 60 * args.limit_minutes
    found, path = calibrate(target, prompts, args.max_new_tokens, lambda: time.monotonic() > deadline, tell_caveats)
    layers = ",".join(map(str, found.skip)) or "none"
    print(
        f"{found.model} drafts best without layers {layers}: {found.expected_speed:.2f}x plain decoding is expected, "
        f"{found.block_efficiency:.2f} tokens a pass. Kept as {path}; self_speculation takes it from now on."
    )
    if not found.is_finished:
        tell_caveats("Time ended before every layer was tried; the same command goes on from here.")
    return 0
