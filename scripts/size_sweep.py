"""Chooses the target's size: trains each shape equally long, then times its passes.

    PYTHONPATH=. python scripts/size_sweep.py --data FOLDER [--minutes 3] [--out FOLDER]

Prints a Markdown table for docs/training.md. Short runs favour small models; read the loss beside the number of
tokens seen, and the time of a pass beside both.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from engine.drafters.costs import row_costs
from engine.models import LoadedModel
from engine.target import Target
from engine.training import corpus
from engine.training.pretrain import Pretraining
from engine.training.recipes import MAX_CONTEXT, RECIPES, VOCAB_SIZE, Shape
from engine.training.tokenizer import train_tokenizer
from engine.training.trainer import Trainer, num_parameters

SHAPES = (Shape(256, 6, 4, 768), Shape(320, 8, 5, 896), Shape(384, 8, 6, 1024), Shape(512, 8, 8, 1408))
TITLES = """\
| parameters | layers × width | file | tokens seen | held-out loss | tokens/s bf16 | 16 rows | tokens/s fp32 | 16 rows |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def main() -> None:
    """Train, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=3.0, help="training time of each shape")
    parser.add_argument("--out", type=Path, help="keep checkpoints here")
    given = parser.parse_args()
    documents = corpus.read_folder(given.data)
    texts = (d.text for d in corpus.split_heldout(documents)[0] if d.kind == "story")
    tokenizer = train_tokenizer(texts, VOCAB_SIZE, MAX_CONTEXT)
    print(TITLES)
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            recipe = replace(RECIPES["target", "cpu"], shape=shape, limit_minutes=given.minutes)
            job = Pretraining("sweep", recipe, documents, tokenizer)
            trainer = Trainer(job, recipe, (given.out or Path(folder)) / str(shape.hidden_size), "cpu")
            trainer.run()
            loss = job.evaluate()["heldout_loss"]
            size = num_parameters(job.model)
            seen = f"{trainer.progress.num_tokens / 1e6:.2f} M | {loss:.3f}"
            kind = f"{size / 1e6:.1f} M | {shape.num_layers} × {shape.hidden_size} | {size * 2 / 1e6:.0f} MB"
            print(f"| {kind} | {seen} | {speeds(job)} |", flush=True)


def speeds(job: Pretraining) -> str:
    """Plain tokens a second and the cost of 16 rows ÷ one, in bf16 and in float32."""
    cells = []
    for dtype in (torch.bfloat16, torch.float32):
        model = LlamaForCausalLM(job.model.config).to(dtype).eval()
        model.load_state_dict(job.model.state_dict())
        loaded = LoadedModel("sweep", model, job.tokenizer, MAX_CONTEXT)
        found = {cost.num_rows: cost for cost in row_costs(Target(loaded), 3.0)[1]}
        cells.append(f"{1000 / found[1].ms:.0f} | {found[16].ratio:.2f}")
    return " | ".join(cells)


if __name__ == "__main__":
    main()
