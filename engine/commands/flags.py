"""What several commands share: flags, what is made of them, and files that are written."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import drafters, models, options, suites
from engine.config import GenerationConfig
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.target import Target


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """--model, --draft, --device, --dtype and --max-context."""
    parser.add_argument(
        "--model",
        help="preset, hub id, folder, folder/file.gguf or hub-id:file.gguf (default: SPECVIZ_MODEL, else "
        "smollm2-135m where it is there, else story)",
    )
    parser.add_argument(
        "--draft", default="auto", help="draft model that goes with it: hub id or folder (default: the preset's own)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 … (default: auto)")
    parser.add_argument("--dtype", default="auto", help="auto, bf16, fp16, fp32, int8 or int4 (default: auto)")
    parser.add_argument(
        "--max-context",
        type=int,
        default=0,
        metavar="TOKENS",
        help="most tokens of prompt and answer together (default: as many as the model can attend to)",
    )


def load_target(args: argparse.Namespace) -> Target:
    """The target of these flags. Raises BadInput."""
    from engine.target import Target

    if args.max_context:
        check_at_least("--max-context", args.max_context, 2)
    loaded = models.load(chosen_model(args), args.device, args.dtype).held_to(args.max_context)
    return Target(loaded if args.draft == "auto" else replace(loaded, draft=args.draft))


def chosen_model(args: argparse.Namespace) -> str:
    """--model; which one it is where none is named, once on stderr. Raises BadInput."""
    if args.model is None:
        default = models.default_model()
        tell_caveats(default.reason)
        args.model = default.name
    return str(args.model)


def add_suite_flags(parser: argparse.ArgumentParser, limit: int) -> None:
    """--suite, --suites and --limit, with this default of questions."""
    parser.add_argument(
        "--suite",
        default="all",
        help=f"suites or .jsonl files of questions, parted by commas, or all of the model's kind (default: all); there "
        f"are {', '.join(suites.names())}",
    )
    parser.add_argument(
        "--suites",
        metavar="FOLDER",
        type=Path,
        help=f"where {', '.join(suites.FIELD)} lie (default: {suites.FOLDER_VARIABLE}, or shared/data/bench)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=limit,
        help=f"questions per suite and category (default: {limit}); a suite's own behind its name, as in humaneval:20",
    )


def questions_of(args: argparse.Namespace) -> list[suites.Question]:
    """The questions that these flags ask for. Raises BadInput."""
    check_at_least_one("--limit", args.limit)
    return suites.questions(args.suite, args.limit, models.kind_of(chosen_model(args)), args.suites)


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Every field of GenerationConfig as a flag."""
    for spec in options.specs(GenerationConfig):
        if spec.type is not bool:
            flag = "--" + spec.name.replace("_", "-")
            parser.add_argument(
                flag, default=spec.default, help=f"{spec.help} ({spec.range_text()}; default {spec.default})"
            )
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="stop when this text appears; repeatable"
    )


def config_of(args: argparse.Namespace) -> GenerationConfig:
    """The session's settings. Raises BadInput."""
    known = {spec.name: spec for spec in options.specs(GenerationConfig)}
    given = {name: spec.parse(getattr(args, name)) for name, spec in known.items() if hasattr(args, name)}
    return GenerationConfig(**given, stop_strings=tuple(args.stop))  # type: ignore[arg-type]


def method_names(given: str) -> list[str]:
    """Names parted by commas, or all of them. Raises UnknownName."""
    names = drafters.names() if given == "all" else given.split(",")
    for name in names:
        drafters.get(name)
    return names


def check_at_least_one(flag: str, given: int) -> None:
    """Raises BadInput for a number below 1."""
    check_at_least(flag, given, 1)


def check_at_least(flag: str, given: int, least: int) -> None:
    """Raises BadInput for a number below that."""
    if given < least:
        raise BadInput(f"{flag} is {given}; wanted a whole number from {least}.")


def check_folder(flag: str, path: Path | None) -> None:
    """Raises BadInput where a file could not be written for want of its folder."""
    if path and not path.resolve().parent.is_dir():
        raise BadInput(f"{flag} is {path}, and there is no folder {path.parent} to write it to.")


def write_file(path: Path, text: str) -> None:
    """Write UTF-8 text. Raises BadInput where the disk refuses."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"The file {path} cannot be written: {error.strerror}.") from error


def tell_caveats(*caveats: str) -> None:
    """What runs on a target, or of a drafter on it, cannot promise: on stderr before they begin."""
    for caveat in filter(None, caveats):
        print(caveat, file=sys.stderr)
