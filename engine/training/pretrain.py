"""Pretraining of the embedded target and draft model from a folder of texts.

Reads documents, makes chats of them, and trains a Llama model on packed rows; the result is a Hugging
Face model folder (bf16 safetensors, tokenizer, loss curve as JSON lines, card).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from engine.training import corpus, packing, tasks
from engine.training.card import write_card
from engine.training.losses import heldout_loss, loss_of
from engine.training.recipes import MAX_CONTEXT, Progress, Recipe, Shape, Stage, stage_at
from engine.training.trainer import Micro, num_parameters


def build_model(shape: Shape, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> LlamaForCausalLM:
    """A freshly initialised Llama model with tied embeddings."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        max_position_embeddings=MAX_CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def encode(chats: Iterable[list[tasks.Message]], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of each chat in the template's own form."""
    texts = [tasks.chat_text(chat, tokenizer) for chat in chats]
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=not tokenizer.chat_template)["input_ids"]
    return ids


def encode_epoch(documents: list[corpus.Document], tokenizer: PreTrainedTokenizerBase, seed: int) -> Tensor:
    """One epoch of chats as one stream of token ids, (t,)."""
    return torch.tensor([i for chat in encode(tasks.examples(documents, seed), tokenizer) for i in chat])


def epoch_rows(documents: list[corpus.Document], tokenizer: PreTrainedTokenizerBase, stage: Stage, seed: int) -> Tensor:
    """One epoch of packed rows in random order, (n, context + 1); a pure function of its arguments."""
    chats = encode(tasks.examples(documents, seed, stage.has_tasks), tokenizer)
    packed = packing.rows(chats, stage.context)
    return packed[torch.randperm(len(packed), generator=torch.Generator().manual_seed(seed))]


class Pretraining:
    """Next-token prediction on chats made from documents; a `trainer.Job`."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        documents: list[corpus.Document],
        tokenizer: PreTrainedTokenizerBase,
        vocab_size: int | None = None,
    ) -> None:
        """`vocab_size` is the target's where a draft model is to share it; its tokenizer may know fewer tokens."""
        self.name, self.recipe, self.tokenizer = name, recipe, tokenizer
        self.train_documents, self.heldout_documents = corpus.split_heldout(documents)
        torch.manual_seed(recipe.seed)
        self.model = build_model(recipe.shape, tokenizer, vocab_size or len(tokenizer))
        self.module: nn.Module = self.model
        self.heldout = encode_epoch(self.heldout_documents, tokenizer, seed=0)

    def batches(self, progress: Progress) -> Iterator[list[Micro]]:
        """Rows of one epoch after another; an epoch ends early where a stage does."""
        recipe = self.recipe
        while True:
            stage = stage_at(recipe, progress.share(recipe))
            rows = epoch_rows(self.train_documents, self.tokenizer, stage, recipe.seed * 1000 + progress.epoch)
            num_rows = min(recipe.batch_tokens // stage.context, len(rows))
            num_micro = max(1, recipe.micro_tokens // stage.context)
            while progress.offset + num_rows <= len(rows) and stage_at(recipe, progress.share(recipe)) == stage:
                progress.offset += num_rows
                batch = rows[progress.offset - num_rows : progress.offset]
                yield [(micro,) for micro in batch.split(num_micro)]
            progress.epoch, progress.offset = progress.epoch + 1, 0

    def loss(self, network: nn.Module, micro: Micro) -> Tensor:
        """Mean next-token loss in nats."""
        return loss_of(network, micro[0])

    def evaluate(self) -> dict[str, float]:
        """Mean next-token loss on documents never trained on."""
        return {"heldout_loss": heldout_loss(self.model, self.heldout)}

    def save(self, folder: Path) -> None:
        """A model folder with its card."""
        save_model(self.model, self.tokenizer, folder, self.recipe.max_shard_mb)
        shape = self.recipe.shape
        facts = {
            "parameters": f"{num_parameters(self.model) / 1e6:.2f} M; Llama architecture, {shape.num_layers} layers of "
            f"width {shape.hidden_size}, vocabulary {len(self.tokenizer)}, context {MAX_CONTEXT}",
            "data": f"{len(self.train_documents):,} documents as chats ({', '.join(tasks.TASKS)}); "
            f"{len(self.heldout_documents):,} held out by document; licences in assets/models/README.md",
            "weights": "bf16 safetensors, Apache-2.0",
            "made by": f"`python -m engine train {self.name.removeprefix('story-')}`",
        }
        write_card(folder, self.name, facts, has_samples=self.name.endswith("target"))


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, max_shard_mb: int) -> None:
    """bf16 safetensors, config, tokenizer with chat template."""
    dtype = next(model.parameters()).dtype
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=f"{max_shard_mb}MB")  # type: ignore[arg-type]
    model.to(dtype)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder)
