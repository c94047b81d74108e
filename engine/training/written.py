"""Text written by the target: what a drafter will be asked to foresee.

Drafters learn the target's own text better than anybody else's ("DistillSpec", arXiv 2310.08461; "Training
Domain Draft Models", 2503.07807). Four of five prompts are answered greedily, the rest at temperature 1. Knows
a model, prompts and one file of JSON lines, to which it adds until every prompt is answered.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine import models
from engine.stock import plain_settings
from engine.training import tasks
from engine.training.corpus import Document

BATCH_ROWS = 64
MAX_NEW_TOKENS = 256
MAX_PROMPT_TOKENS = 400
COVERAGE = 0.97
SAMPLED_EVERY = 5
"""One of so many batches is answered at temperature 1; greedy text helps greedy decoding (docs/log.md, 2026-11-28)."""


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
                return _batched_by_length(found, seed)
        if len(found) == before:
            return _batched_by_length(found, seed)
    raise AssertionError("count never ends")


def _batched_by_length(found: list[list[int]], seed: int) -> list[list[int]]:
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
    max_new_tokens: int = MAX_NEW_TOKENS,
    is_always_greedy: bool = False,
) -> list[list[int]]:
    """Prompts with their answers behind them, four of five batches greedy; goes on where `path` ends."""
    num_done = sum(1 for _ in read(path)) if path.is_file() else 0
    starts = range(num_done, len(prompt_ids), BATCH_ROWS)
    with path.open("a") as file:
        for start in tqdm(starts, desc="text written by the target", unit="batch", disable=not starts):
            batch = list(prompt_ids[start : start + BATCH_ROWS])
            torch.manual_seed(seed * 100_000 + start)
            is_greedy = is_always_greedy or start // BATCH_ROWS % SAMPLED_EVERY < SAMPLED_EVERY - 1
            for row in _answer(model, tokenizer, batch, max_new_tokens, is_greedy=is_greedy):
                file.write(json.dumps(row) + "\n")
            file.flush()
    return list(read(path))


def frequent_tokens(path: Path, coverage: float = COVERAGE) -> list[int]:
    """The tokens that make up this part of a file's text, most frequent first: what is worth drafting."""
    counts = Counter(itertools.chain.from_iterable(read(path)))
    ranked = counts.most_common()
    reached = itertools.accumulate(count for _, count in ranked)
    num_kept = 1 + sum(total < coverage * counts.total() for total in reached)
    return [token for token, _ in ranked[:num_kept]]


def read(path: Path) -> Iterator[list[int]]:
    """Token ids of each row."""
    with path.open() as file:
        yield from map(json.loads, file)


@torch.inference_mode()
def _answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: list[list[int]],
    max_new_tokens: int,
    *,
    is_greedy: bool,
) -> list[list[int]]:
    """One batch, padded on the left while it is decoded; each row ends behind its first end of text."""
    ends = models.end_ids(model, tokenizer)
    width, pad = max(map(len, batch)), ends[0] if ends else 0
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in batch], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=model.device)
    sampling = {"do_sample": False} if is_greedy else {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    with _without_habits(model, ends):
        output: Tensor = model.generate(  # type: ignore[operator]
            ids, attention_mask=mask, max_new_tokens=max_new_tokens, **sampling
        )
    return [row + _up_to_end(answer, ends) for row, answer in zip(batch, output[:, width:].tolist(), strict=True)]


@contextmanager
def _without_habits(model: PreTrainedModel, ends: Sequence[int]) -> Iterator[None]:
    """Generate without the penalties, beams and bans of a model's own generation config, as the engine does."""
    own = model.generation_config
    model.generation_config = plain_settings(ends)
    try:
        yield
    finally:
        model.generation_config = own


def _up_to_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    first = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[: first + 1]
