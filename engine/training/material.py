"""What a target's drafters learn from: its hidden states on the corpus, and text that it wrote itself.

It is the target's alone and lies in a folder that several methods can share: `text/` and `activations/` hold hidden
states of both kinds of text, `written.jsonl` and `heldout.jsonl` what the target wrote. Knows no drafter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine import models
from engine.training import acceptance, activations, corpus, packing, tasks, written
from engine.training.pretrain import encode
from engine.training.recipes import Recipe
from engine.training.runs import Order, load_target

NUM_HELDOUT = 24
"""Held-out prompts of each task that the target answers."""
CHATS_AT_ONCE = 200


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
    text: Path
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
        """The target's output layer, (v, h) float32."""
        return cast(nn.Linear, self.target.get_output_embeddings()).weight.detach().float()

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end a text."""
        return models.end_ids(self.target, self.tokenizer)

    @property
    def begin_ids(self) -> tuple[int, ...]:
        """The token that begins an answer in the chat template, where it is a single one."""
        if not self.tokenizer.chat_template:
            return ()
        chat = [{"role": "user", "content": "Hello"}]
        without, whole = (
            str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=has_prompt))
            for has_prompt in (False, True)
        )
        ids = self.tokenizer(whole.removeprefix(without), add_special_tokens=False)["input_ids"]
        return tuple(ids) if len(ids) == 1 else ()

    def identity(self) -> dict[str, str]:
        """What a weights folder says of its target."""
        return {"target": self.name, "target_fingerprint": models.fingerprint_of(self.target)}


def gather(order: Order, recipe: Recipe) -> Material:
    """Load the target; write, compute and keep what is not there yet in the order's folder of written text."""
    target, tokenizer = load_target(str(order.target), order.device)
    folder = order.material
    folder.mkdir(parents=True, exist_ok=True)
    train_documents, heldout = corpus.split_heldout(corpus.read_folder(order.data))
    stage = recipe.stages[-1]
    if not any((folder / "text").glob("*.safetensors")):
        chats = _chats(train_documents, tokenizer, recipe.num_text_tokens, order.seed)
        activations.compute(target, packing.rows(chats, stage.context), folder / "text")
    if not any((folder / "activations").glob("*.safetensors")):
        prompts = written.prompts(train_documents, tokenizer, recipe.num_written, order.seed)
        texts = written.write(target, tokenizer, prompts, folder / "written.jsonl", seed=order.seed)
        activations.compute(target, packing.rows(texts, stage.context), folder / "activations")
    answers = _heldout_answers(target, tokenizer, heldout, folder / "heldout.jsonl", order.seed)
    name = order.target if order.target in models.presets() else Path(str(order.target)).name
    return Material(str(name), target, tokenizer, folder / "text", folder / "activations", answers)


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
    heldout: Sequence[corpus.Document],
    path: Path,
    seed: int,
) -> list[Answers]:
    max_tokens = models.context_length(target.config.get_text_config()) - written.MAX_NEW_TOKENS
    asked = [
        (task, prompt)
        for task in acceptance.TASKS
        for prompt in acceptance.heldout_prompts(tokenizer, task, heldout, max_tokens, NUM_HELDOUT)
    ]
    prompts = [prompt for _, prompt in asked]
    texts = written.write(target, tokenizer, prompts, path, seed=seed, is_always_greedy=True)
    found: dict[str, list[tuple[int, Tensor, Tensor]]] = {}
    for (task, prompt), ids in zip(asked, texts, strict=False):
        row = torch.tensor(ids)
        if len(ids) > len(prompt) + 1:
            hidden = activations.hidden_states(target, row[None])[0]
            found.setdefault(task, []).append((len(prompt), row, hidden))
    return [Answers(task, rows) for task, rows in found.items()]
