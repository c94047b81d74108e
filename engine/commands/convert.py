"""`convert`: published weights of a drafter to a folder that a method reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine import checkpoints


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    about = "published weights: a folder, a .safetensors, .bin or .pt file, or an id on the Hub (owner/name)"
    parser.add_argument("source", help=about)
    parser.add_argument("folder", type=Path, help="the folder to make")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    print(checkpoints.convert(checkpoints.source_of(args.source), args.folder.expanduser()).text)
    return 0
