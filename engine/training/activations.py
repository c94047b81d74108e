"""A frozen target's last hidden states, computed once and streamed from disk.

A drafter is trained for several passes over the same rows; the target's part of each is the same.
Knows tensors and a folder of safetensors shards; the disk they need is said before the first is made.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from engine.training.trainer import refuse_small_disk

SHARD_ROWS = 32
BYTES_PER_NUMBER = 2


def num_bytes(num_rows: int, context: int, hidden_size: int) -> int:
    """Disk that the hidden states of `num_rows` rows take, bf16."""
    return num_rows * context * hidden_size * BYTES_PER_NUMBER


def compute(model: PreTrainedModel, rows: Tensor, folder: Path) -> None:
    """Hidden states behind the last norm of `rows (n, t + 1)` to shards in `folder`; those there are kept.

    Raises BadInput where the disk is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hidden_size = model.config.get_text_config().hidden_size
    refuse_large(folder, num_bytes(len(rows), rows.shape[1] - 1, hidden_size))
    for number, chunk in enumerate(tqdm(rows.split(SHARD_ROWS), desc="hidden states", unit="shard")):
        if not _shard(folder, number).is_file():
            keep(folder, number, chunk, hidden_states(model, chunk))


def refuse_large(folder: Path, need: int) -> None:
    """Say what disk a folder's states will take. Raises BadInput where there is less."""
    if need:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"The target's hidden states take {need / 1e6:,.0f} MB in {folder}.", flush=True)
        refuse_small_disk(folder, need)


def keep(folder: Path, number: int, ids: Tensor, hidden: Tensor) -> None:
    """A shard of rows (n, t + 1) with their hidden states (n, t, h), whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _shard(folder, number)
    save_file({"ids": ids.contiguous(), "hidden": hidden.contiguous()}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.safetensors"


@torch.inference_mode()
def hidden_states(model: PreTrainedModel, rows: Tensor) -> Tensor:
    """What the output layer reads: (n, t + 1) ids, padding below zero → (n, t, h) bf16."""
    ids = rows[:, :-1].clamp(min=0).to(model.device)
    hidden: Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return hidden.bfloat16().cpu().contiguous()


def shards(folder: Path, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(ids (n, t + 1), hidden (n, t, h)) of one shard after another, in an order drawn from the seed."""
    paths = sorted(folder.glob("*.safetensors"))
    random.Random(seed).shuffle(paths)
    yield from map(load, paths)


def load(path: Path) -> tuple[Tensor, Tensor]:
    """One shard."""
    tensors = load_file(path)
    return tensors["ids"], tensors["hidden"]
