"""`convert`: published weights of a drafter to a folder that a method reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine import checkpoints


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("source", type=Path, help="folder or file of published weights: .safetensors, .bin or .pt")
    parser.add_argument("folder", type=Path, help="the folder to make")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    print(checkpoints.convert(args.source.expanduser(), args.folder.expanduser()).text)
    return 0
