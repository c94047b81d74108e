"""`train`: trains the embedded models, or a user's own."""

from __future__ import annotations

import argparse
import signal
from dataclasses import fields
from pathlib import Path

from engine.errors import BadInput


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags: each is a field of `Order`, but for those of `report`."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help="target; draft; a trained method's name; aded or sam_decoding: table or corpus; suites: held-out prompts; "
        "report: the models' quality, measured",
    )
    parser.add_argument("--preset", choices=("cpu", "gpu"), default="cpu", help="size and budget (default: cpu)")
    parser.add_argument("--data", required=True, type=Path, help="a folder of .txt or .jsonl texts")
    parser.add_argument("--out", type=Path, help="model folder to write (default: runs/TARGET-NAME)")
    parser.add_argument(
        "--target",
        help="for drafters: any causal LM (preset, hub id or folder) to share a tokenizer with and to learn",
    )
    parser.add_argument(
        "--written", type=Path, help="for drafters: folder of text that the target wrote, to share (default: --out)"
    )
    parser.add_argument(
        "--begin",
        type=Path,
        help="for heads: weights folder to go on from, at a fifth of the learning rate; for pard: the draft model to "
        "adapt (default: the target's own)",
    )
    parser.add_argument(
        "--texts",
        choices=("auto", "tasks", "requests"),
        default="auto",
        help="for drafters: what the target is asked, the story model's tasks or requests of many kinds (default: "
        "auto: tasks for story and where there is no chat template)",
    )
    parser.add_argument(
        "--variant",
        type=int,
        choices=(1, 2, 3),
        help="for eagle: EAGLE-1 and -2, or 3 (default: 3); for hydra: 1, Hydra, or 2, Hydra++ (default: 2)",
    )
    parser.add_argument("--draft", type=Path, help="for report: the draft model's folder")
    parser.add_argument("--before", type=Path, help="for report: an earlier target's folder, to compare with")
    parser.add_argument("--limit-minutes", type=float, help="end after this time, learning rate decayed")
    parser.add_argument("--resume", dest="is_resumed", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same order of data (default: 1)")
    parser.add_argument(
        "--compile",
        dest="is_compiled",
        action="store_true",
        help="torch.compile the model: faster; needs a C++ compiler",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    from engine.training.report import write_report
    from engine.training.runs import Order, train
    from engine.training.suites import write_suites

    if args.name == "suites":
        write_suites(args.data, args.out or Path("assets/suites"))
        return 0
    if args.name == "report":
        if args.target is None or args.draft is None:
            raise BadInput("A report needs both models' folders: --target and --draft.")
        write_report(args.data, Path(args.target), args.draft, args.before, args.out or Path("docs/models.md"))
        return 0
    # A run in the background is told to end by TERM; both ways it leaves a checkpoint.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    train(Order(**{field.name: getattr(args, field.name) for field in fields(Order)}))
    return 0
