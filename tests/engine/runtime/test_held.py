"""How much memory arrays take, each counted once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from toys.networks import prompt_ids, tiny

from engine import drafters
from engine.config import GenerationConfig
from engine.events import Memory, SessionFinished, from_json, to_json
from engine.loop import generate
from engine.runtime.held import LONGEST, held_bytes
from engine.target import Target


def test_every_array_counts_once_and_a_view_as_the_whole() -> None:
    numbers, tensor = np.zeros((4, 8), np.float32), torch.zeros(10, dtype=torch.bfloat16)
    layer = nn.Linear(3, 5)
    held: dict[str, Any] = {"a": [numbers, numbers[1:], numbers.T], "b": (tensor, tensor[2:]), "c": layer, "d": "text"}
    counted: set[int] = set()
    assert held_bytes(held, counted) == 4 * 8 * 4 + 10 * 2 + (3 * 5 + 5) * 4
    assert held_bytes([numbers, layer.weight], counted) == 0, "they were counted before"


def test_what_is_closed_or_long_is_not_looked_into() -> None:
    numbers = np.zeros(16, np.uint8)
    assert held_bytes({"list": [numbers]}, set(), (list,)) == 0
    assert held_bytes([numbers] * (LONGEST + 1), set()) == 0


def test_a_circle_ends() -> None:
    around: list[Any] = [np.zeros(2, np.int64)]
    around.append(around)
    assert held_bytes(around, set()) == 16


def test_a_session_tells_what_target_drafter_and_cache_held() -> None:
    target = Target(tiny("gpt2"))
    *_, last = generate(target, drafters.create("plain", {}, target), prompt_ids(8), GenerationConfig(max_new_tokens=4))
    assert isinstance(last, SessionFinished)
    assert last.memory is not None
    config = target.loaded.model.config
    weights = {p.data_ptr(): p.nbytes for p in target.loaded.model.parameters()}
    assert last.memory.target >= sum(weights.values())
    assert last.memory.kv == 2 * config.n_layer * config.n_embd * 256 * 4, "room for 256 tokens, keys and values"
    assert last.memory.drafter == 0
    assert from_json(to_json(last)) == last


def test_records_of_former_versions_counted_no_memory() -> None:
    line = '{"kind":"session_finished","reason":"eos","counts":{"steps":1},"decode_ns":5}'
    read = from_json(line)
    assert isinstance(read, SessionFinished)
    assert read.memory is None
    told = from_json(line[:-1] + ',"memory":{"target":3,"drafter":2,"kv":1}}')
    assert isinstance(told, SessionFinished)
    assert told.memory == Memory(3, 2, 1)
