"""The tri-gram table of a target, from the chats its training texts make."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from engine.drafters.tables.aded.method import TABLE_FILE
from engine.drafters.trigrams import TrigramTable, build_table
from engine.training import corpus, tasks
from engine.training.pretrain import encode

MIN_COUNT = 2
"""A tri-gram seen once is mostly chance; without them the embedded table is a fifth of the size."""


def write_table(
    documents: list[corpus.Document], tokenizer: PreTrainedTokenizerBase, fingerprint: str, out: Path, seed: int
) -> TrigramTable:
    """Count one epoch of chats of the training side and write the table with its card."""
    train_documents, _ = corpus.split_heldout(documents)
    chats = encode(tasks.examples(train_documents, seed), tokenizer)
    table = build_table(chats, MIN_COUNT)
    out.mkdir(parents=True, exist_ok=True)
    table.save(out / TABLE_FILE, fingerprint)
    num_tokens = sum(map(len, chats))
    (out / "README.md").write_text(_card(table, num_tokens, out / TABLE_FILE), encoding="utf-8")
    return table


def _card(table: TrigramTable, num_tokens: int, path: Path) -> str:
    return (
        "---\nlicense: apache-2.0\nlanguage: en\n---\n\n# Tri-gram table for ADED\n\n"
        f"- contents: {len(table.keys):,} pairs of tokens with {len(table.tokens):,} successors, at most 12 a pair, "
        f"each seen at least {MIN_COUNT} times\n"
        f"- data: {num_tokens:,} tokens of the target's training chats; licences in assets/models/README.md\n"
        f"- file: {path.stat().st_size / 1e6:.1f} MB safetensors, Apache-2.0\n"
        "- made by: `python -m engine train aded`\n"
    )
