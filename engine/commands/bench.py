"""`bench`: times methods against plain decoding and transformers."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine import drafters
from engine.commands.flags import (
    add_config_flags,
    add_model_flags,
    add_suite_flags,
    check_at_least_one,
    check_folder,
    config_of,
    load_target,
    method_names,
    questions_of,
    tell_caveats,
    write_file,
)
from engine.errors import RunFailed


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--methods", default="all", help="names parted by commas, or all (default: all)")
    add_suite_flags(parser, limit=8)
    parser.add_argument("--repeats", type=int, default=1, help="runs per prompt and method (default: 1)")
    parser.add_argument(
        "--peers",
        nargs="?",
        const="all",
        choices=("all", "generate", "llama.cpp"),
        help="time transformers' generate and llama.cpp too, or one of the two",
    )
    parser.add_argument(
        "--gpu-check",
        nargs="?",
        const="1B,7B",
        metavar="SIZES",
        help="measure a GPU with made-up weights of these sizes (1B,7B if none is named) and nothing else: bandwidth, "
        "plain decoding against its bound, rows, waits, a synthetic speedup",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report as JSON")
    parser.add_argument(
        "--resume", metavar="FILE", type=Path, help="keep finished runs in FILE; where it exists, go on from it"
    )
    add_model_flags(parser)
    add_config_flags(parser)
    parser.set_defaults(run=run, max_new_tokens=160)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    from engine import bench
    from engine.bench import journal

    check_folder("--json", args.json)
    check_folder("--resume", args.resume)
    if args.gpu_check is not None:
        return _check_gpu(args)
    target, plan = _plan(args)
    caveats = drafters.caveats(plan.methods, target)
    tell_caveats(*caveats)
    settings = bench.settings(target.loaded, plan)
    finished = journal.read(args.resume, settings, plan) if args.resume else []
    costs = bench.row_costs(target)
    stream = bench.run(target, plan, finished)
    if args.resume:
        stream = journal.keep(args.resume, settings, finished, stream)
    records = _measured(plan, finished, stream)
    report = bench.summarise(records, settings, plan, costs, _command(args.words), caveats)
    if args.json:
        cells = [dataclasses.asdict(record) for record in records if isinstance(record, bench.Cell)]
        write_file(args.json, json.dumps({**report.to_dict(), "cells": cells}, indent=1))
    print(bench.to_markdown(report.to_dict()))
    return 0 if report.is_complete else 1


def _check_gpu(args: argparse.Namespace) -> int:
    from engine.bench import gpu_check, gpu_page
    from engine.runtime import choose_device, choose_dtype

    check_at_least_one("--repeats", args.repeats)
    device = choose_device("cuda" if args.device == "auto" else args.device)
    dtype, config = choose_dtype(args.dtype, device), config_of(args)
    report = gpu_check.check(
        args.gpu_check.split(","), device, dtype, config.max_new_tokens, max(args.repeats, 3), tell=_tell
    )
    if not report["cells"]:
        raise RunFailed(f"Nothing was measured on {device}: no size fits there.")
    report["command"] = _command(args.words)
    if args.json:
        write_file(args.json, json.dumps(report, indent=1))
    print(gpu_page.to_markdown(report))
    return 0


def _plan(args: argparse.Namespace) -> tuple[Any, Any]:
    """The loaded target, and what is to be measured on it."""
    from engine import bench
    from engine.bench.peers import load_peers

    names = method_names(args.methods)
    check_at_least_one("--repeats", args.repeats)
    # Peers record no probabilities of what else might have been said, so neither do we.
    config, questions = dataclasses.replace(config_of(args), has_detail=False), questions_of(args)
    target = load_target(args)
    peers = load_peers(target.loaded, args.model, config, args.peers, _tell) if args.peers else []
    names = [name for name in names if args.methods != "all" or drafters.get(name).unavailable(target) is None]
    return target, bench.Plan({name: {} for name in names}, questions, config, args.repeats, peers)


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)


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
