"""What a target's drafters learn from: its hidden states on the corpus, and text that it wrote itself.

It is the target's alone and lies in a folder that several methods can share: `text/` and `activations/` hold hidden
states of both kinds of text, `written.jsonl` and `heldout.jsonl` what the target wrote. Knows no drafter.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine import models
from engine.training import activations, corpus, demand, packing, taps, tasks, written
from engine.training.asked import is_asked_requests, practised, requested
from engine.training.pretrain import encode
from engine.training.recipes import Progress, Recipe, stage_at
from engine.training.runs import Order, load_target
from engine.training.trainer import Micro

CHATS_AT_ONCE = 200
TEXTS, STATES = "written.jsonl", "activations"
MOST_SCORED = 8192
"""Drafters of a target with more tokens score the most frequent ones only: an output layer costs more than the rest
(FR-Spec, arXiv 2502.14856)."""


@dataclass(frozen=True)
class Answers:
    """Text that the target wrote on held-out prompts of one task, greedily, with its hidden states."""

    task: str
    rows: list[tuple[int, Tensor, Tensor]]
    """Tokens of the prompt, ids (t + 1,), hidden (t, h)."""


@dataclass(frozen=True)
class Material:
    """A target with the data that its drafters learn from."""

    name: str
    target: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    texts: Path
    """What it wrote."""
    text: Path
    """Hidden states on the corpus, or on written text where nothing else is learnt from."""
    written: Path
    heldout: list[Answers]

    @property
    def vocab_size(self) -> int:
        """Tokens that the target scores."""
        return int(self.target.get_output_embeddings().weight.shape[0])

    @property
    def hidden_size(self) -> int:
        """Width of the target."""
        return int(self.target.config.get_text_config().hidden_size)

    @property
    def input_table(self) -> Tensor:
        """The target's token embeddings, (v, h) float32."""
        return cast(nn.Embedding, self.target.get_input_embeddings()).weight.detach().float()

    @property
    def output_table(self) -> Tensor:
        """The target's output layer, (n, h) float32: a row for each token of the vocabulary."""
        table = cast(nn.Linear, self.target.get_output_embeddings()).weight.detach()
        return (table if self.vocabulary is None else table[self.vocabulary]).float()

    @functools.cached_property
    def vocabulary(self) -> Tensor | None:
        """(n,) the tokens that drafters score, those that answers hold most often first; None where they score all."""
        if self.vocab_size <= MOST_SCORED:
            return None
        return torch.tensor(written.frequent_tokens(self.texts)[:MOST_SCORED], device=self.target.device)

    @functools.cached_property
    def places(self) -> Tensor | None:
        """(v,) each token's place in the vocabulary, -1 outside; None where all tokens are scored."""
        if self.vocabulary is None:
            return None
        found = torch.full((self.vocab_size,), -1, device=self.target.device)
        found[self.vocabulary] = torch.arange(len(self.vocabulary), device=found.device)
        return found

    def sample(self, seed: int) -> tuple[Tensor, Tensor]:
        """Some of the written text where the target is: ids (n, t + 1) and hidden states (n, t, h)."""
        ids, hidden = next(activations.shards(self.written, seed))
        return ids.to(self.target.device), hidden.to(self.target.device)

    def tapping(self, layers: Sequence[int]) -> Material:
        """The same, its rows and answers with the states of these layers side by side; itself for fewer than two.

        Raises BadInput where the disk is too small.
        """
        if len(layers) < 2:
            return self
        text, own = (taps.stored(self.target, layers, folder) for folder in (self.text, self.written))
        return replace(self, text=text, written=own, heldout=[self._tapped(part, layers) for part in self.heldout])

    def _tapped(self, answers: Answers, layers: Sequence[int]) -> Answers:
        rows = [
            (num_prompt, ids, taps.of_rows(self.target, layers, ids[None], hidden[None])[0])
            for num_prompt, ids, hidden in answers.rows
        ]
        return Answers(answers.task, rows)

    def batches(self, recipe: Recipe, progress: Progress) -> Iterator[list[Micro]]:
        """Ids (n, t + 1) and states (n, t, h), pass after pass over a stage's shards.

        Endless; one ends early where its stage does, and the place in the data is kept in `progress`.
        """
        while True:
            stage = stage_at(recipe, progress.share(recipe))
            folder = self.written if stage.is_written else self.text
            for place, batch in enumerate(_batches_of(folder, recipe, recipe.seed * 1000 + progress.epoch)):
                if place < progress.offset:
                    continue
                progress.offset += 1
                yield batch
                if stage_at(recipe, progress.share(recipe)) != stage:
                    break
            progress.epoch, progress.offset = progress.epoch + 1, 0

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end a text."""
        return models.end_ids(self.target, self.tokenizer)

    @property
    def begin_ids(self) -> tuple[int, ...]:
        """The tokens that begin an answer in the chat template."""
        if not self.tokenizer.chat_template:
            return ()
        chat = [{"role": "user", "content": "Hello"}]
        without, whole = (
            str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=has_prompt))
            for has_prompt in (False, True)
        )
        ids = self.tokenizer(whole.removeprefix(without), add_special_tokens=False)["input_ids"]
        return tuple(ids)

    @property
    def told(self) -> str:
        """What was learnt from, for a card."""
        rows = list(written.read(self.texts))
        num_tokens = sum(len(row.ids) - row.num_prompt for row in rows)
        answers = (
            f"{num_tokens:,} tokens of {len(rows):,} answers that the target wrote itself, four of five greedily and "
            "the rest at temperature 1"
        )
        is_answers_only = self.text == self.written
        before = "" if is_answers_only else "the target's hidden states on its training chats, then "
        return f"{before}{answers}; licences in assets/models/README.md"

    def identity(self) -> dict[str, str]:
        """What a weights folder says of its target."""
        return {"target": self.name, "target_fingerprint": models.fingerprint_of(self.target)}


def _batches_of(folder: Path, recipe: Recipe, seed: int) -> Iterator[list[Micro]]:
    generator = torch.Generator().manual_seed(seed)
    for ids, hidden in activations.shards(folder, seed):
        order = torch.randperm(len(ids), generator=generator)
        num_rows = max(1, recipe.batch_tokens // (ids.shape[1] - 1))
        num_micro = max(1, recipe.micro_tokens // (ids.shape[1] - 1))
        for chosen in order.split(num_rows):
            yield list(zip(ids[chosen].split(num_micro), hidden[chosen].split(num_micro), strict=True))


def gather(order: Order, recipe: Recipe) -> Material:
    """Load the target; write, compute and keep what is not there yet in the order's folder of written text."""
    target, tokenizer = load_target(str(order.target), order.device)
    folder, context = order.material, recipe.stages[-1].context
    documents, heldout = corpus.split_heldout(corpus.read_folder(order.data))
    folder.mkdir(parents=True, exist_ok=True)
    is_chat = is_asked_requests(order, tokenizer)
    if is_chat:
        asked = requested(order, recipe, target, tokenizer, documents)
    else:
        asked = practised(order, recipe, target, tokenizer, documents, heldout)
    states, texts = folder / STATES, folder / TEXTS
    left = [len(ids) for ids in asked.prompts[written.num_rows(texts) :]]
    rows, limit = written.BATCH_ROWS, recipe.limit_minutes
    demand.tell(demand.measured(target, left, written.MAX_NEW_TOKENS, rows, limit), folder)
    written.write(target, tokenizer, asked.prompts, texts, seed=order.seed, states=states, context=context)
    text = folder / "text" if recipe.num_text_tokens and not is_chat else states
    if not any(text.glob("*.safetensors")):
        chats = _chats(documents, tokenizer, recipe.num_text_tokens, order.seed)
        activations.compute(target, packing.rows(chats, context), text)
    answers = _heldout_answers(target, tokenizer, asked.heldout, folder / "heldout.jsonl", order.seed)
    return Material(order.target_name, target, tokenizer, texts, text, states, answers)


def answers_of(order: Order, recipe: Recipe) -> list[list[int]]:
    """What a chat model answers to requests, without them; written where that is not done yet."""
    texts = order.material / TEXTS
    if not texts.is_file():
        gather(order, recipe)
    return [row.ids[row.num_prompt :] for row in written.read(texts)]


def _chats(
    documents: list[corpus.Document], tokenizer: PreTrainedTokenizerBase, num_tokens: int, seed: int
) -> list[list[int]]:
    """Training chats, in random order, of so many tokens together."""
    found: list[list[int]] = []
    chats = tasks.examples(documents, seed)
    while sum(map(len, found)) < num_tokens and (some := list(itertools.islice(chats, CHATS_AT_ONCE))):
        found += encode(some, tokenizer)
    return found


def _heldout_answers(
    target: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    asked: list[tuple[str, list[int]]],
    path: Path,
    seed: int,
) -> list[Answers]:
    """What the target answers greedily, with the hidden states of each answer by itself."""
    texts = written.write(target, tokenizer, [ids for _, ids in asked], path, seed=seed, is_always_greedy=True)
    found: dict[str, list[tuple[int, Tensor, Tensor]]] = {}
    for (task, _), text in zip(asked, texts, strict=False):
        row = torch.tensor(text.ids)
        if len(text.ids) > text.num_prompt + 1:
            hidden = activations.hidden_states(target, row[None])[0]
            found.setdefault(task, []).append((text.num_prompt, row, hidden))
    return [Answers(task, rows) for task, rows in found.items()]
