"""`generate`: decodes one prompt, and audits it if asked to."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine import drafters, options
from engine.commands.flags import (
    add_config_flags,
    add_model_flags,
    config_of,
    load_target,
    tell_caveats,
)
from engine.conversation import Conversation
from engine.errors import BadInput
from engine.events import Event, SessionFinished, SessionStarted, Stepped, to_json


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--method", required=True, help="a name from `methods`")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="a method's option; repeatable"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt", help="the prompt")
    source.add_argument("--prompt-file", help="a file with the prompt; - reads standard input")
    add_model_flags(parser)
    add_config_flags(parser)
    for spec in options.specs(Conversation):
        about = f"{spec.help} ({', '.join(spec.choices)}; default {spec.default})"
        parser.add_argument(f"--{spec.name}", default=spec.default, help=about)
    parser.add_argument("--system", metavar="TEXT", help="a system prompt before the prompt")
    parser.add_argument("--audit", action="store_true", help="compare with plain decoding, token by token")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object instead of the text")
    output.add_argument("--events", metavar="FILE", help="write the events as JSON lines; - is standard output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    from engine.audit import audit, plain_run
    from engine.loop import generate
    from engine.warming import warm_up

    config, given = config_of(args), given_options(args.set)
    drafters.parse(args.method, given)
    prompt, conversation = _prompt(args), _conversation(args)
    target = load_target(args)
    drafter = drafters.create(args.method, given, target)
    stream = generate(target, drafter, prompt, config, conversation=conversation)
    warm_up(target)
    tell_caveats(target.caveat, drafter.caveat)
    run = _show(stream, args)
    finished = run[-1]
    assert isinstance(finished, SessionFinished)
    finding = None
    if args.audit and finished.reason != "failed":
        started = run[0]
        assert isinstance(started, SessionStarted)
        finding = audit(target, plain_run(target, started.prompt_ids, config), run)
    _tell_notices(run)
    if args.json:
        print(json.dumps(_report(run, finding), ensure_ascii=True))
    elif finding:
        print(f"Audit: {finding.text}", file=sys.stderr)
    if finished.message:
        print(finished.message, file=sys.stderr)
    is_bad = finished.reason == "failed" or (finding is not None and finding.verdict == "DIFFERENT")
    return 1 if is_bad else 0


def _tell_notices(run: Sequence[Event]) -> None:
    """What acceptance says is wrong, on standard error."""
    from engine.metrics import acceptance
    from engine.run_report import notices

    for sentence in notices(acceptance(run)):
        print(f"Notice: {sentence}", file=sys.stderr)


def _prompt(args: argparse.Namespace) -> str:
    if args.prompt is not None:
        return str(args.prompt)
    try:
        data = sys.stdin.buffer.read() if args.prompt_file == "-" else Path(args.prompt_file).read_bytes()
        return data.decode("utf-8-sig")  # a byte order mark is no part of the prompt
    except OSError as error:
        raise BadInput(f"The prompt file {args.prompt_file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"The prompt file {args.prompt_file} is not UTF-8 text.") from error


def _conversation(args: argparse.Namespace) -> Conversation:
    """What stands around the prompt. Raises BadInput."""
    messages = () if args.system is None else (("system", args.system),)
    return Conversation(args.template, args.thinking, messages)


def _show(stream: Iterator[Event], args: argparse.Namespace) -> list[Event]:
    """Print while it streams, as asked; returns all events."""
    if args.events:
        return list(_written(stream, args.events))
    run = []
    for event in stream:
        run.append(event)
        if isinstance(event, Stepped) and not args.json:
            print("".join(token.text for token in event.emitted), end="", flush=True)
    if not args.json:
        print()
    return run


def _written(stream: Iterator[Event], where: str) -> Iterator[Event]:
    try:
        sink = contextlib.nullcontext(sys.stdout) if where == "-" else Path(where).open("w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise BadInput(f"The events file {where} cannot be written: {error.strerror}.") from error
    with sink as file:
        for event in stream:
            file.write(to_json(event) + "\n")
            yield event


def _report(run: Sequence[Event], finding: Any) -> dict[str, Any]:
    """The object of `generate --json`."""
    from engine.audit import output_ids
    from engine.metrics import summarise
    from engine.run_report import run_report

    started, finished = run[0], run[-1]
    assert isinstance(started, SessionStarted)
    assert isinstance(finished, SessionFinished)
    return {
        "text": "".join(token.text for event in run if isinstance(event, Stepped) for token in event.emitted),
        "token_ids": output_ids(run),
        "method": started.method,
        "options": started.method_options,
        "model": started.model,
        "device": started.device,
        "dtype": started.dtype,
        "stop_reason": finished.reason,
        "counts": dataclasses.asdict(finished.counts),
        "metrics": dataclasses.asdict(summarise(run)),
        **run_report(run),
        "audit": None if finding is None else {**dataclasses.asdict(finding), "text": finding.text},
    }


def given_options(pairs: Sequence[str]) -> dict[str, str]:
    """`--set name=value` pairs as a mapping. Raises BadInput."""
    split = [pair.partition("=") for pair in pairs]
    for pair, (name, equals, _) in zip(pairs, split, strict=True):
        if not name or not equals:
            raise BadInput(f"--set was given {pair!r}; wanted OPTION=VALUE.")
    return {name: value for name, _, value in split}
