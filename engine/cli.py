"""The command line: methods, generate, audit, bench, train.

Parses and prints; decides nothing. Exit status 2 for bad input, 1 for a failed run or a DIFFERENT
audit, 0 otherwise. A user's mistake is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine import drafters, options
from engine.config import GenerationConfig
from engine.errors import BadInput, EngineError, RunFailed
from engine.events import Event, SessionFinished, SessionStarted, Stepped, to_json


class Parser(argparse.ArgumentParser):
    """argparse that raises BadInput instead of printing its usage and leaving."""

    def error(self, message: str) -> Any:
        """One sentence, with where to look for more."""
        raise BadInput(f"{message[0].upper()}{message[1:]}; see {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        args = _parser().parse_args(argv)
        args.words = sys.argv[1:] if argv is None else list(argv)
        status: int = args.run(args)
        return status
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m engine", description="Speculative decoding on any Hugging Face causal LM.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_methods(commands.add_parser("methods", help="list the decoding methods"))
    _add_generate(commands.add_parser("generate", help="decode one prompt"))
    _add_audit(commands.add_parser("audit", help="compare methods with plain decoding, token by token"))
    _add_bench(commands.add_parser("bench", help="time methods against plain decoding and transformers"))
    _add_train(commands.add_parser("train", help="train the embedded models"))
    return parser


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="story", help="preset, hub id or folder (default: story)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 … (default: auto)")
    parser.add_argument("--dtype", default="auto", help="auto, bf16, fp16 or fp32 (default: auto)")


def _add_suite_flags(parser: argparse.ArgumentParser, limit: int) -> None:
    parser.add_argument(
        "--suite", default="all", help="suites or .jsonl files of questions, parted by commas, or all (default: all)"
    )
    parser.add_argument("--limit", type=int, default=limit, help=f"questions per suite and category (default: {limit})")


def _add_config_flags(parser: argparse.ArgumentParser) -> None:
    for spec in options.specs(GenerationConfig):
        if spec.type is not bool:
            flag = "--" + spec.name.replace("_", "-")
            parser.add_argument(
                flag, default=spec.default, help=f"{spec.help} ({spec.range_text()}; default {spec.default})"
            )
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="stop when this text appears; repeatable"
    )


def _config(args: argparse.Namespace) -> GenerationConfig:
    known = {spec.name: spec for spec in options.specs(GenerationConfig)}
    given = {name: spec.parse(getattr(args, name)) for name, spec in known.items() if hasattr(args, name)}
    return GenerationConfig(**given, stop_strings=tuple(args.stop))  # type: ignore[arg-type]


# methods


def _add_methods(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--model", default=None, help="say which methods are available for this model")
    parser.set_defaults(run=_run_methods)


def _run_methods(args: argparse.Namespace) -> int:
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


# generate


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--method", required=True, help="a name from `methods`")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="a method's option; repeatable"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt", help="the prompt")
    source.add_argument("--prompt-file", help="a file with the prompt; - reads standard input")
    _add_model_flags(parser)
    _add_config_flags(parser)
    parser.add_argument("--audit", action="store_true", help="compare with plain decoding, token by token")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object instead of the text")
    output.add_argument("--events", metavar="FILE", help="write the events as JSON lines; - is standard output")
    parser.set_defaults(run=_run_generate)


def _run_generate(args: argparse.Namespace) -> int:
    from engine import models
    from engine.audit import audit, plain_run
    from engine.loop import generate
    from engine.target import Target, warm_up

    config, given = _config(args), _given_options(args.set)
    options.parse(drafters.get(args.method).Options, given, args.method)
    prompt = _prompt(args)
    target = Target(models.load(args.model, args.device, args.dtype))
    drafter = drafters.create(args.method, given, target)
    stream = generate(target, drafter, prompt, config)
    warm_up(target)
    run = _show(stream, args)
    finished = run[-1]
    assert isinstance(finished, SessionFinished)
    finding = None
    if args.audit and finished.reason != "failed":
        started = run[0]
        assert isinstance(started, SessionStarted)
        finding = audit(target, plain_run(target, started.prompt_ids, config), run)
    if args.json:
        print(json.dumps(_report(run, finding), ensure_ascii=True))
    elif finding:
        print(f"Audit: {finding.text}", file=sys.stderr)
    if finished.reason == "failed":
        print(finished.message, file=sys.stderr)
    is_bad = finished.reason == "failed" or (finding is not None and finding.verdict == "DIFFERENT")
    return 1 if is_bad else 0


def _given_options(pairs: Sequence[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for pair, (name, equals, _) in zip(pairs, split, strict=True):
        if not name or not equals:
            raise BadInput(f"--set was given {pair!r}; wanted OPTION=VALUE.")
    return {name: value for name, _, value in split}


def _prompt(args: argparse.Namespace) -> str:
    if args.prompt is not None:
        return str(args.prompt)
    try:
        data = sys.stdin.buffer.read() if args.prompt_file == "-" else Path(args.prompt_file).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise BadInput(f"The prompt file {args.prompt_file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"The prompt file {args.prompt_file} is not UTF-8 text.") from error


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
        "audit": None if finding is None else {**dataclasses.asdict(finding), "text": finding.text},
    }


# audit


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", default="all", help="names parted by commas, or all (default: all)")
    _add_suite_flags(parser, limit=2)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    _add_model_flags(parser)
    _add_config_flags(parser)
    parser.set_defaults(run=_run_audit, max_new_tokens=100)


def _run_audit(args: argparse.Namespace) -> int:
    from engine import models, suites
    from engine.audit import audit, plain_run
    from engine.loop import generate
    from engine.target import Target

    names = _method_names(args.methods)
    _check_at_least_one("--limit", args.limit)
    config, questions = _config(args), suites.questions(args.suite, args.limit)
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


def _method_names(given: str) -> list[str]:
    names = drafters.names() if given == "all" else given.split(",")
    for name in names:
        drafters.get(name)
    return names


def _check_at_least_one(flag: str, given: int) -> None:
    if given < 1:
        raise BadInput(f"{flag} is {given}; wanted a whole number from 1.")


# bench


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", default="all", help="names parted by commas, or all (default: all)")
    _add_suite_flags(parser, limit=8)
    parser.add_argument("--repeats", type=int, default=1, help="runs per prompt and method (default: 1)")
    parser.add_argument("--peers", action="store_true", help="time transformers' generate on the same weights too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report as JSON")
    parser.add_argument(
        "--resume", metavar="FILE", type=Path, help="keep finished runs in FILE; where it exists, go on from it"
    )
    _add_model_flags(parser)
    _add_config_flags(parser)
    parser.set_defaults(run=_run_bench, max_new_tokens=160)


def _run_bench(args: argparse.Namespace) -> int:
    from engine import bench
    from engine.bench import journal

    _check_folder("--json", args.json)
    _check_folder("--resume", args.resume)
    target, plan = _bench_plan(args)
    settings = bench.settings(target.loaded, plan)
    finished = journal.read(args.resume, settings, plan) if args.resume else []
    costs = bench.row_costs(target)
    stream = bench.run(target, plan, finished)
    if args.resume:
        stream = journal.keep(args.resume, settings, finished, stream)
    records = _measured(plan, finished, stream)
    report = bench.summarise(records, settings, plan, costs, _command(args.words))
    if args.json:
        cells = [dataclasses.asdict(record) for record in records if isinstance(record, bench.Cell)]
        _write(args.json, json.dumps({**report.to_dict(), "cells": cells}, indent=1))
    print(bench.to_markdown(report.to_dict()))
    return 0 if report.is_complete else 1


def _bench_plan(args: argparse.Namespace) -> tuple[Any, Any]:
    """The loaded target, and what is to be measured on it."""
    from engine import bench, models, suites
    from engine.bench.peers import load_peers
    from engine.target import Target

    names = _method_names(args.methods)
    _check_at_least_one("--limit", args.limit)
    _check_at_least_one("--repeats", args.repeats)
    # Peers record no probabilities of what else might have been said, so neither do we.
    config, questions = dataclasses.replace(_config(args), has_detail=False), suites.questions(args.suite, args.limit)
    target = Target(models.load(args.model, args.device, args.dtype))
    preset = models.presets().get(args.model)
    peers = load_peers(target.loaded, preset.target if preset else args.model, config) if args.peers else []
    names = [name for name in names if args.methods != "all" or drafters.get(name).unavailable(target) is None]
    return target, bench.Plan({name: {} for name in names}, questions, config, args.repeats, peers)


def _measured(plan: Any, finished: Sequence[Any], stream: Iterator[Any]) -> list[Any]:
    """The records of all whole rounds. Ctrl-C ends the bench early with those that there are."""
    from tqdm import tqdm

    from engine import bench

    records = list(finished)
    bar = tqdm(stream, initial=len(finished), total=plan.num_records(records), unit="run")
    try:
        for record in bar:
            records.append(record)
            bar.total = plan.num_records(records)
    except KeyboardInterrupt:
        print("Interrupted: what follows is of the rounds that were finished.", file=sys.stderr)
    whole = bench.of_whole_rounds(records, plan)
    if not any(isinstance(record, bench.Cell) for record in whole):
        raise RunFailed("No question was measured to its end, so there is nothing to report.")
    return whole


def _command(words: Sequence[str]) -> str:
    """What was typed, files without their folders."""
    parts = [[Path(part).name if Path(part).is_absolute() else part for part in word.split(",")] for word in words]
    return shlex.join(["python", "-m", "engine", *map(",".join, parts)])


def _check_folder(flag: str, path: Path | None) -> None:
    if path and not path.resolve().parent.is_dir():
        raise BadInput(f"{flag} is {path}, and there is no folder {path.parent} to write it to.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"The file {path} cannot be written: {error.strerror}.") from error


# train


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=("target", "draft", "suites"), metavar="NAME", help="target, draft or suites")
    parser.add_argument("--preset", choices=("cpu", "gpu"), default="cpu", help="size and budget (default: cpu)")
    parser.add_argument("--data", required=True, type=Path, help="a folder of .txt or .jsonl texts")
    parser.add_argument("--out", type=Path, help="model folder to write (default: runs/story-NAME)")
    parser.add_argument(
        "--target", type=Path, help="for draft: the target's model folder, to share its tokenizer and align"
    )
    parser.add_argument("--limit-minutes", type=float, help="end after this time, learning rate decayed")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same order of data (default: 1)")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model: faster; needs a C++ compiler")
    parser.set_defaults(run=_run_train)


def _run_train(args: argparse.Namespace) -> int:
    from engine.training.pretrain import train
    from engine.training.suites import write_suites

    if args.name == "suites":
        write_suites(args.data, args.out or Path("assets/suites"))
        return 0
    train(
        args.name,
        args.preset,
        args.data,
        args.out,
        args.target,
        args.limit_minutes,
        args.resume,
        args.seed,
        args.compile,
    )
    return 0
