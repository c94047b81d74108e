"""ADED's table of a target: of what it answered, or for the story model of the chats its training texts make."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from engine import models
from engine.drafters.tables.aded.method import TABLE_FILE
from engine.drafters.trigrams import TrigramTable, build_table
from engine.training import asked, corpus, material, tasks
from engine.training.pretrain import encode
from engine.training.runs import Order

MIN_COUNT = 2
"""A tri-gram seen once is mostly chance; without them the embedded table is a fifth of the size."""


def train(order: Order) -> None:
    """What `train aded` does."""
    loaded = models.load(str(order.target), "cpu")
    if asked.is_asked_requests(order, loaded.tokenizer):
        chats, source = material.answers_of(order, order.recipe("heads")), "the target's own answers to requests"
    else:
        chats, source = _practised(order, loaded.tokenizer), "the target's training chats"
    table = write_table(chats, source, loaded.vocabulary_fingerprint, order.folder)
    print(f"{len(table.keys):,} pairs, {len(table.tokens):,} successors in {order.folder}.")


def _practised(order: Order, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """One epoch of chats of the training side."""
    documents, _ = corpus.split_heldout(corpus.read_folder(order.data))
    return encode(tasks.examples(documents, order.seed), tokenizer)


def write_table(chats: list[list[int]], source: str, fingerprint: str, out: Path) -> TrigramTable:
    """Count the chats and write the table with its card, which says what they are."""
    table = build_table(chats, MIN_COUNT)
    out.mkdir(parents=True, exist_ok=True)
    table.save(out / TABLE_FILE, fingerprint)
    card = _card(table, f"{sum(map(len, chats)):,} tokens of {source}", out / TABLE_FILE)
    (out / "README.md").write_text(card, encoding="utf-8")
    return table


def _card(table: TrigramTable, data: str, path: Path) -> str:
    return (
        "---\nlicense: apache-2.0\nlanguage: en\n---\n\n# Tri-gram table for ADED\n\n"
        f"- contents: {len(table.keys):,} pairs of tokens with {len(table.tokens):,} successors, at most 12 a pair, "
        f"each seen at least {MIN_COUNT} times\n"
        f"- data: {data}; licences in assets/models/README.md\n"
        f"- file: {path.stat().st_size / 1e6:.1f} MB safetensors, Apache-2.0\n"
        "- made by: `python -m engine train aded`\n"
    )
