"""Text written by the target: what a drafter will be asked to foresee.

Drafters learn the target's own text better than anybody else's ("DistillSpec", arXiv 2310.08461; "Training
Domain Draft Models", 2503.07807). Four of five prompts are answered greedily, the rest at temperature 1. Knows
a model, prompts and one file of JSON lines, to which it adds until every prompt is answered; the hidden states of a
batch are kept beside it, if asked for, as shards that `activations` reads.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine import models
from engine.training import activations, batches, packing, tasks
from engine.training.corpus import Document

BATCH_ROWS = 64
MAX_NEW_TOKENS = 256
MAX_PROMPT_TOKENS = 400
COVERAGE = 0.98
SAMPLED_EVERY = 5
"""One of so many batches is answered at temperature 1; greedy text helps greedy decoding (docs/log.md, 2026-11-28)."""


@dataclass(frozen=True)
class Written:
    """A prompt's ids with the answer's behind them."""

    ids: list[int]
    num_prompt: int


def prompts(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, num_prompts: int, seed: int
) -> list[list[int]]:
    """What users may ask, as token ids up to where the answer begins; longest first, in batches of like length."""
    found: list[list[int]] = []
    for epoch in itertools.count(seed):
        before = len(found)
        for chat in tasks.examples(list(documents), epoch):
            ids = tasks.prompt_ids(chat[:-1], tokenizer)
            if len(ids) <= MAX_PROMPT_TOKENS:
                found.append(ids)
            if len(found) == num_prompts:
                return batched_by_length(found, seed)
        if len(found) == before:
            return batched_by_length(found, seed)
    raise AssertionError("count never ends")


def batched_by_length(found: list[list[int]], seed: int) -> list[list[int]]:
    """Batches of like length in random order, so that a run cut short has seen every length."""
    found.sort(key=len)
    batches = [found[i : i + BATCH_ROWS] for i in range(0, len(found), BATCH_ROWS)]
    random.Random(seed).shuffle(batches)
    return [ids for batch in batches for ids in batch]


def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: Sequence[list[int]],
    path: Path,
    *,
    seed: int,
    max_new_tokens: int | None = None,
    is_always_greedy: bool = False,
    states: Path | None = None,
    context: int = 0,
) -> list[Written]:
    """Prompts with their answers behind them, four of five batches greedy; goes on where `path` ends.

    Hidden states go to the folder `states`, in rows of `context` tokens.
    """
    max_new_tokens, ends = max_new_tokens or MAX_NEW_TOKENS, models.end_ids(model, tokenizer)
    starts = range(num_rows(path), len(prompt_ids), BATCH_ROWS)
    with path.open("a") as file:
        for start in tqdm(starts, desc="text written by the target", unit="batch", disable=not starts):
            batch = list(prompt_ids[start : start + BATCH_ROWS])
            torch.manual_seed(seed * 100_000 + start)
            is_greedy = is_always_greedy or start // BATCH_ROWS % SAMPLED_EVERY < SAMPLED_EVERY - 1
            texts = batches.continued(model, batch, max_new_tokens, ends, temperature=0.0 if is_greedy else 1.0)
            if states is not None:
                activations.keep(states, start // BATCH_ROWS, *packing.rows_with_states(texts, context))
            for text, prompt in zip(texts, batch, strict=True):
                file.write(json.dumps(asdict(Written(text.ids, len(prompt)))) + "\n")
            file.flush()
    return list(read(path))


def frequent_tokens(path: Path, coverage: float = COVERAGE) -> list[int]:
    """The tokens that make up this part of a file's answers, most frequent first: what is worth drafting."""
    counts = Counter(itertools.chain.from_iterable(row.ids[row.num_prompt :] for row in read(path)))
    ranked = counts.most_common()
    reached = itertools.accumulate(count for _, count in ranked)
    num_kept = 1 + sum(total < coverage * counts.total() for total in reached)
    return [token for token, _ in ranked[:num_kept]]


def num_rows(path: Path) -> int:
    """Prompts that are answered in a file, which need not be there."""
    return sum(1 for _ in read(path)) if path.is_file() else 0


def read(path: Path) -> Iterator[Written]:
    """Each row."""
    with path.open() as file:
        yield from (Written(**json.loads(line)) for line in file)
