"""The training loop: steps, schedule, checkpoints, log, progress bar, clean stop.

Knows a job (what is trained, on which batches, towards what) and a recipe (how long, how fast). Knows
nothing of texts, models or drafters. A run that is stopped and resumed takes the same steps, to the
bit, as one that is not, as long as its budget of tokens and not its time limit ends it.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from engine.errors import BadInput, RunFailed
from engine.runtime.device import has_fast_bf16
from engine.training.muon import Muon
from engine.training.recipes import Progress, Recipe, learning_rate

BYTES_PER_PARAMETER = 30
"""Two checkpoints of float32 weights with two optimizer moments at most, and the bf16 model."""
Micro = tuple[Tensor, ...]
"""Tensors of one forward pass; the first is (b, t + 1) token ids."""


class Job(Protocol):
    """What is trained."""

    name: str
    module: nn.Module

    def batches(self, progress: Progress) -> Iterator[list[Micro]]:
        """Endless batches, each as the passes it takes; the place in the data is kept in `progress`."""

    def loss(self, network: nn.Module, micro: Micro) -> Tensor:
        """Mean loss of one pass; `network` is `module`, prepared for the device and its precision."""

    def evaluate(self) -> dict[str, float]:
        """Held-out figures by name."""

    def save(self, folder: Path) -> None:
        """Write what can be loaded afterwards."""


class Trainer:
    """One run: owns optimizers, progress and the output folder."""

    def __init__(self, job: Job, recipe: Recipe, out: Path, device: str, *, is_compiled: bool = False) -> None:
        self.job, self.recipe, self.out, self.device = job, recipe, out, device
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=mixed_precision(device))
        job.module.to(torch.device(device))
        self.network = self.accelerator.prepare_model(job.module)
        if is_compiled:
            self.network.compile(dynamic=False)  # rows have few lengths, each worth kernels of its own
        self.optimizers = make_optimizers(job.module, recipe)
        self.progress = Progress()
        out.mkdir(parents=True, exist_ok=True)
        self.checkpoint = out / "checkpoint.pt"
        refuse_small_disk(out, BYTES_PER_PARAMETER * num_parameters(job.module))

    def run(self) -> bool:
        """Train to the end of the budget; Ctrl-C leaves a checkpoint and what can be loaded. Whether it got there."""
        print(f"{self.job.name}: {num_parameters(self.job.module) / 1e6:.2f} M parameters")
        is_finished = True
        try:
            self._train()
        except KeyboardInterrupt:
            is_finished = False
            print(f"Stopped at step {self.progress.num_steps}; go on with --resume.")
        self.save_checkpoint()
        self._evaluate()
        self.job.save(self.out)
        return is_finished

    def _train(self) -> None:
        self.job.module.train()
        started = time.monotonic() - self.progress.seconds
        last_eval = self.progress.seconds
        bar_format = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}"
        done = 100 * self.progress.share(self.recipe)
        with tqdm(total=100, initial=done, unit="%", bar_format=bar_format) as bar:
            for batch in self.job.batches(self.progress):
                share = self.progress.share(self.recipe)
                if share >= 1:
                    return
                loss = self._step(batch, learning_rate(self.recipe, share))
                self.progress.num_tokens += sum(micro[0].shape[0] * (micro[0].shape[1] - 1) for micro in batch)
                self.progress.num_steps += 1
                self.progress.seconds = time.monotonic() - started
                self._show(bar, loss, share)
                if self.progress.seconds - last_eval > self.recipe.eval_every_seconds:
                    last_eval = self.progress.seconds
                    self._evaluate()
                    self.save_checkpoint()

    def _step(self, batch: Sequence[Micro], lr: float) -> float:
        loss = self._accumulate_gradients(batch)
        if not math.isfinite(loss):
            kept = "the last checkpoint is kept" if self.checkpoint.is_file() else "there is no checkpoint yet"
            raise RunFailed(f"The loss is {loss} at step {self.progress.num_steps}; {kept} in {self.out}.")
        torch.nn.utils.clip_grad_norm_(self.job.module.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss

    def _accumulate_gradients(self, batch: Sequence[Micro]) -> float:
        """Mean loss over the batch; its gradient is left in the parameters."""
        num_rows = sum(len(micro[0]) for micro in batch)
        total = 0.0
        for micro in batch:
            micro = tuple(tensor.to(self.device) for tensor in micro)
            loss = self.job.loss(self.network, micro) * (len(micro[0]) / num_rows)
            self.accelerator.backward(loss)
            total += loss.item()
        return total

    def _show(self, bar: Any, loss: float, share: float) -> None:
        bar.update(100 * share - bar.n)
        rate = self.progress.num_tokens / self.progress.seconds
        bar.set_description(self.job.name)
        bar.set_postfix_str(f"loss {loss:.3f}, {rate:,.0f} tokens/s, {self.progress.num_tokens / 1e6:.2f} M tokens")
        if self.progress.num_steps % 20 == 0:
            self._log({"train_loss": loss})

    def _evaluate(self) -> None:
        self.job.module.eval()
        values = self.job.evaluate()
        self.job.module.train()
        self._log(values)
        figures = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        tqdm.write(f"{self.job.name} step {self.progress.num_steps}: {figures}")

    def _log(self, values: dict[str, float]) -> None:
        p = self.progress
        row = {"step": p.num_steps, "num_tokens": p.num_tokens, "seconds": round(p.seconds, 1), **values}
        with (self.out / "loss.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def save_checkpoint(self) -> None:
        """Write the checkpoint beside the old one, then swap, so that one is always whole."""
        state = {
            "model": self.job.module.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": vars(self.progress),
        }
        torch.save(state, self.out / "checkpoint.new")
        (self.out / "checkpoint.new").replace(self.checkpoint)

    def load_checkpoint(self) -> None:
        """Go on from `checkpoint.pt`. Raises BadInput where there is none."""
        if not self.checkpoint.is_file():
            raise BadInput(f"There is no checkpoint in {self.out}; start without --resume.")
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.job.module.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])


def make_optimizers(module: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings, heads and norms."""
    trained = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    hidden = [p for n, p in trained if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    rest = [p for n, p in trained if p.ndim != 2 or "embed" in n or "lm_head" in n]
    found: list[torch.optim.Optimizer] = [Muon(hidden, lr=recipe.lr)] if hidden else []
    return [*found, torch.optim.AdamW(rest, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=0.0)]


def mixed_precision(device: str) -> str:
    """bf16 wherever the device multiplies it natively: weights stay float32, products do not."""
    return "bf16" if device == "cuda" or has_fast_bf16() else "no"


def num_parameters(module: nn.Module) -> int:
    """Numbers that are trained or kept, shared ones once."""
    return sum(p.numel() for p in module.parameters())


def refuse_small_disk(folder: Path, num_bytes: float) -> None:
    """Raises BadInput where the folder's disk has no room for what is to be written."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise BadInput(
            f"{folder} has {free / 1e6:,.0f} MB free; the run needs {num_bytes / 1e6:,.0f} MB. Choose --out."
        )
