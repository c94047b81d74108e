"""Pretraining of the embedded target and draft model from a folder of texts.

Reads documents, writes a Hugging Face model folder (bf16 safetensors, tokenizer, loss curve as
JSON lines) and, while it runs, a checkpoint to resume from.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from engine.errors import BadInput, RunFailed
from engine.runtime.device import has_fast_bf16
from engine.training import corpus, packing, tasks
from engine.training.card import write_card
from engine.training.losses import agreement, distillation_loss, heldout_loss, loss_of
from engine.training.muon import Muon
from engine.training.recipes import (
    MAX_CONTEXT,
    RECIPES,
    VOCAB_SIZE,
    Progress,
    Recipe,
    Shape,
    Stage,
    learning_rate,
    stage_at,
)
from engine.training.tokenizer import load_tokenizer, train_tokenizer


CHECKPOINTS_BYTES_PER_PARAMETER = 30
"""Two checkpoints of float32 weights with two optimizer moments at most, and the bf16 model."""


def build_model(shape: Shape, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """A freshly initialised Llama model with tied embeddings."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
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


def load_teacher(folder: Path, device: str) -> LlamaForCausalLM:
    """The target whose distributions the draft model learns."""
    teacher: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    teacher.requires_grad_(False).eval()
    teacher.to(torch.device(device))  # type: ignore[arg-type]
    return teacher


def encode(chats: Iterable[list[tasks.Message]], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of each chat in the template's own form."""
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids


def encode_epoch(documents: list[corpus.Document], tokenizer: PreTrainedTokenizerBase, seed: int) -> Tensor:
    """One epoch of chats as one stream of token ids, (t,)."""
    return torch.tensor([i for chat in encode(tasks.examples(documents, seed), tokenizer) for i in chat])


def epoch_rows(documents: list[corpus.Document], tokenizer: PreTrainedTokenizerBase, stage: Stage, seed: int) -> Tensor:
    """One epoch of packed rows in random order, (n, context + 1); a pure function of its arguments."""
    chats = encode(tasks.examples(documents, seed, stage.has_tasks), tokenizer)
    packed = packing.rows(chats, stage.context)
    return packed[torch.randperm(len(packed), generator=torch.Generator().manual_seed(seed))]


def batches(
    documents: list[corpus.Document], tokenizer: PreTrainedTokenizerBase, recipe: Recipe, progress: Progress
) -> Iterator[Tensor]:
    """Endless (b, t + 1) batches; the place in the epoch is kept in `progress`."""
    while True:
        stage = stage_at(recipe, progress.share(recipe))
        rows = epoch_rows(documents, tokenizer, stage, recipe.seed * 1000 + progress.epoch)
        num_rows = min(recipe.batch_tokens // stage.context, len(rows))
        while progress.offset + num_rows <= len(rows) and stage_at(recipe, progress.share(recipe)) == stage:
            progress.offset += num_rows
            yield rows[progress.offset - num_rows : progress.offset]
        progress.epoch, progress.offset = progress.epoch + 1, 0


def make_optimizers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings and norms."""
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n or "lm_head" in n]
    return [Muon(hidden, lr=recipe.lr), torch.optim.AdamW(rest, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=0.0)]


def mixed_precision(device: str) -> str:
    """bf16 wherever the device multiplies it natively: weights stay fp32, products do not."""
    return "bf16" if device == "cuda" or has_fast_bf16() else "no"


def refuse_small_disk(folder: Path, num_bytes: int) -> None:
    """Raises BadInput where the folder's disk has no room for what a run writes."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise BadInput(f"{folder} has {free / 1e6:,.0f} MB free; the run needs {num_bytes / 1e6:,.0f} MB. Choose --out.")


class Trainer:
    """One pretraining run: owns model, optimizers, progress and its output folder."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        data: Path,
        out: Path,
        target: Path | None,
        device: str,
        is_compiled: bool = False,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.name, self.recipe, self.out, self.device = name, recipe, out, device
        self.train_documents, self.heldout_documents = corpus.split_heldout(corpus.read_folder(data))
        self.tokenizer = (
            load_tokenizer(target)
            if target
            else train_tokenizer((d.text for d in self.train_documents), VOCAB_SIZE, MAX_CONTEXT)
        )
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=mixed_precision(device))
        self.model = build_model(recipe.shape, self.tokenizer).to(torch.device(device))  # type: ignore[arg-type]
        self.network = self.accelerator.prepare_model(self.model)
        if is_compiled:
            self.network.compile()
        self.teacher = load_teacher(target, device) if target else None
        self.optimizers = make_optimizers(self.model, recipe)
        self.progress = Progress()
        self.heldout = encode_epoch(self.heldout_documents, self.tokenizer, seed=0)
        out.mkdir(parents=True, exist_ok=True)
        self.checkpoint = out / "checkpoint.pt"
        refuse_small_disk(out, CHECKPOINTS_BYTES_PER_PARAMETER * sum(p.numel() for p in self.model.parameters()))

    def run(self) -> None:
        """Train to the end of the budget; Ctrl-C leaves a checkpoint and a loadable model."""
        num_params = sum(p.numel() for p in self.model.parameters())
        print(f"{self.name}: {num_params / 1e6:.2f} M parameters, {len(self.train_documents)} documents")
        try:
            self._train()
        except KeyboardInterrupt:
            print(f"Stopped at step {self.progress.num_steps}; go on with --resume.")
        self.save_checkpoint()
        self._evaluate()
        self.save_model()

    def _train(self) -> None:
        self.model.train()
        started = time.monotonic() - self.progress.seconds
        last_eval = self.progress.seconds
        with tqdm(
            total=100, unit="%", bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}"
        ) as bar:
            for batch in batches(self.train_documents, self.tokenizer, self.recipe, self.progress):
                share = self.progress.share(self.recipe)
                if share >= 1:
                    return
                loss = self._step(batch.to(self.device), learning_rate(self.recipe, share))
                self.progress.num_tokens += batch.shape[0] * (batch.shape[1] - 1)
                self.progress.num_steps += 1
                self.progress.seconds = time.monotonic() - started
                self._show(bar, loss, share)
                if self.progress.seconds - last_eval > self.recipe.eval_every_seconds:
                    last_eval = self.progress.seconds
                    self._evaluate()
                    self.save_checkpoint()

    def _step(self, batch: Tensor, lr: float) -> float:
        loss = self._accumulate_gradients(batch)
        if not math.isfinite(loss):
            kept = "the last checkpoint is kept" if self.checkpoint.is_file() else "there is no checkpoint yet"
            raise RunFailed(f"The loss is {loss} at step {self.progress.num_steps}; {kept} in {self.out}.")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss

    def _accumulate_gradients(self, batch: Tensor) -> float:
        """Mean loss over the batch; its gradient is left in the parameters."""
        micros = batch.split(max(1, self.recipe.micro_tokens // (batch.shape[1] - 1)))
        total = 0.0
        for micro in micros:
            loss = self._loss(micro) * (len(micro) / len(batch))
            self.accelerator.backward(loss)
            total += loss.item()
        return total

    def _loss(self, batch: Tensor) -> Tensor:
        if self.teacher is None or self.progress.share(self.recipe) < self.recipe.distil_from:
            return loss_of(self.network, batch)
        return distillation_loss(self.network, self.teacher, batch)

    def _show(self, bar: Any, loss: float, share: float) -> None:
        bar.update(100 * share - bar.n)
        rate = self.progress.num_tokens / self.progress.seconds
        bar.set_description(self.name)
        bar.set_postfix_str(f"loss {loss:.3f}, {rate:,.0f} tokens/s, {self.progress.num_tokens / 1e6:.2f} M tokens")
        if self.progress.num_steps % 20 == 0:
            self._log({"train_loss": loss})

    def _evaluate(self) -> None:
        values = {"heldout_loss": heldout_loss(self.model, self.heldout)}
        if self.teacher is not None:
            values["agreement"] = agreement(self.model, self.teacher, self.heldout)
        self._log(values)

    def _log(self, values: dict[str, float]) -> None:
        p = self.progress
        row = {"step": p.num_steps, "num_tokens": p.num_tokens, "seconds": round(p.seconds, 1), **values}
        with (self.out / "loss.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        if "heldout_loss" in values:
            tqdm.write(f"{self.name} step {p.num_steps}: " + ", ".join(f"{k} {v:.4f}" for k, v in values.items()))

    def save_checkpoint(self) -> None:
        """Write the checkpoint beside the old one, then swap, so that one is always whole."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": vars(self.progress),
        }
        self.tokenizer.save_pretrained(self.out)
        torch.save(state, self.out / "checkpoint.new")
        (self.out / "checkpoint.new").replace(self.checkpoint)

    def load_checkpoint(self) -> None:
        """Go on from `checkpoint.pt`. Raises BadInput where there is none."""
        if not self.checkpoint.is_file():
            raise BadInput(f"There is no checkpoint in {self.out}; start without --resume.")
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])

    def save_model(self) -> None:
        """The model folder: bf16 safetensors, config, tokenizer with chat template."""
        dtype = next(self.model.parameters()).dtype
        self.model.to(torch.bfloat16).save_pretrained(self.out)
        self.model.to(dtype)
        self.tokenizer.save_pretrained(self.out)
        self._write_card()

    def _write_card(self) -> None:
        num_params = sum(p.numel() for p in self.model.parameters())
        shape = self.recipe.shape
        facts = {
            "parameters": f"{num_params / 1e6:.2f} M; Llama architecture, {shape.num_layers} layers of width "
            f"{shape.hidden_size}, vocabulary {len(self.tokenizer)}, context {MAX_CONTEXT}",
            "data": f"{len(self.train_documents):,} documents as chats (tell, retell, repeat); "
            f"{len(self.heldout_documents):,} held out by document; licences in assets/models/README.md",
            "weights": "bf16 safetensors, Apache-2.0",
            "made by": f"`python -m engine train {self.name.removeprefix('story-')}`",
        }
        write_card(self.out, self.name, facts, has_samples=self.teacher is None)


def train(
    name: str,
    preset: str,
    data: Path,
    out: Path | None,
    target: Path | None,
    limit_minutes: float | None,
    is_resumed: bool,
    seed: int,
    is_compiled: bool = False,
) -> None:
    """What `python -m engine train` does. Raises BadInput for settings that cannot work."""
    recipe = replace(RECIPES[name, preset], seed=seed)
    if limit_minutes is not None:
        if limit_minutes <= 0:
            raise BadInput(f"--limit-minutes is {limit_minutes:g}; wanted a number above 0.")
        recipe = replace(recipe, limit_minutes=limit_minutes)
    if preset == "gpu" and not torch.cuda.is_available():
        raise BadInput("Preset gpu needs a CUDA device, and none is here; use --preset cpu.")
    if (name == "draft") != (target is not None):
        raise BadInput("A draft model, and only a draft model, learns from its target: name its folder with --target.")
    if target is not None and not (target / "config.json").is_file():
        raise BadInput(f"The folder {target} holds no config.json; wanted the target's model folder.")
    out = out or Path("runs") / f"story-{name}"
    trainer = Trainer(f"story-{name}", recipe, data, out, target, "cuda" if preset == "gpu" else "cpu", is_compiled)
    if is_resumed:
        trainer.load_checkpoint()
    trainer.run()
