"""The command line: methods, generate, audit, bench, calibrate, train, convert.

Parses and prints; decides nothing. Exit status 2 for bad input, 1 for a failed run or a DIFFERENT
audit, 0 otherwise. A user's mistake is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from engine.commands import audit, bench, calibrate, convert, generate, methods, train
from engine.errors import BadInput, EngineError


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
    methods.add(commands.add_parser("methods", help="list the decoding methods"))
    generate.add(commands.add_parser("generate", help="decode one prompt"))
    audit.add(commands.add_parser("audit", help="compare methods with plain decoding, token by token"))
    bench.add(commands.add_parser("bench", help="time methods against plain decoding and transformers"))
    calibrate.add(commands.add_parser("calibrate", help="find which of its layers a target can spare as a drafter"))
    train.add(commands.add_parser("train", help="train the embedded models"))
    convert.add(commands.add_parser("convert", help="turn published weights of a drafter into this project's layout"))
    return parser
