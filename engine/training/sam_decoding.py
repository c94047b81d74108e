"""SAM-Decoding's corpus of a target: what it answered to requests, as token ids."""

from __future__ import annotations

import itertools

from engine import models
from engine.drafters import corpus
from engine.drafters.copying._corpus import CORPUS_FILE
from engine.training import material
from engine.training.runs import Order


def train(order: Order) -> None:
    """What `train sam_decoding` does: nothing is trained, the answers are kept."""
    loaded = models.load(str(order.target), "cpu")
    answers = material.answers_of(order, order.recipe("heads"))
    ids = list(itertools.chain.from_iterable(answers))[: corpus.MAX_TOKENS]
    order.folder.mkdir(parents=True, exist_ok=True)
    path = order.folder / CORPUS_FILE
    corpus.save(path, ids, loaded)
    (order.folder / "README.md").write_text(
        "---\nlicense: apache-2.0\nlanguage: en\n---\n\n# Corpus for SAM-Decoding\n\n"
        f"- contents: {len(ids):,} token ids of {len(answers):,} answers that {order.target_name} wrote itself\n"
        f"- file: {path.stat().st_size / 1e6:.1f} MB, numpy's compressed arrays, Apache-2.0\n"
        "- made by: `python -m engine train sam_decoding`\n",
        encoding="utf-8",
    )
    print(f"{len(ids):,} tokens of {len(answers):,} answers in {path}.")
