"""What tests of published drafters share: a checkpoint and its changes, a session to a step, parts of a layer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter
from engine.noise import Noise
from engine.target import Scored, Target
from engine.tree import DraftTree
from engine.verify import Verdict

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """As it is published; a method adds what its description says of it."""

    tensors: Tensors
    config: dict[str, Any]
    file: str = field(default="model.safetensors", kw_only=True)


P = TypeVar("P", bound=Checkpoint)


def changed(
    layouts: Mapping[str, Callable[[], P]],
    layout: str,
    drop: tuple[str, ...] = (),
    add: Tensors | None = None,
    **config: Any,
) -> P:
    """A checkpoint without some tensors, with others, and with other words in its config."""
    published = layouts[layout]()
    kept = {name: tensor for name, tensor in published.tensors.items() if name not in drop}
    return replace(published, tensors=kept | (add or {}), config={**published.config, **config})


def written(folder: Path, published: Checkpoint, **changes: Any) -> Path:
    """The checkpoint as it is published, with other words in its config."""
    folder.mkdir()
    save = save_file if published.file.endswith("safetensors") else torch.save
    save(published.tensors, folder / published.file)
    (folder / "config.json").write_text(json.dumps({**published.config, **changes}))
    return folder


def begun(target: Target, drafter: Drafter, ids: Sequence[int], seed: int = 1, **settings: Any) -> Context:
    """A session of a drafter that reads a target's states, whose text is these tokens."""
    target.hidden_layers = drafter.needs.hidden_layers
    context = Context(list(ids), GenerationConfig(max_new_tokens=40, **settings), Noise(seed))
    context.prompt_hidden = target.prefill(ids[:-1])
    drafter.start(context)
    return context


def step(
    target: Target, drafter: Drafter, context: Context, tree: DraftTree, path: Sequence[int], next_token: int
) -> None:
    """A step in which the nodes of `path` are accepted, whatever the target thinks of them."""
    context.tree = tree
    scored = target.score(context.root_id, tree)
    target.commit(path)
    emitted = [*(tree.tokens[node] for node in path), next_token]
    context.ids += emitted
    drafter.observe(Verdict(tuple(path), next_token, "correction"), emitted, Scored(scored.logits, scored.hidden))


def deepest(tree: DraftTree) -> tuple[int, ...]:
    """The nodes on the way to one of the deepest."""
    return tuple(tree.path_to(max(range(len(tree)), key=tree.depths.__getitem__)))


def paths(tree: DraftTree) -> dict[tuple[int, ...], float]:
    """Each node's tokens from the root on, and their probability by the drafter."""
    assert tree.draft_probs is not None
    found = {}
    for node in range(len(tree)):
        path = tree.path_to(node)
        found[tuple(tree.tokens[i] for i in path)] = math.prod(tree.draft_probs[i] or 0 for i in path)
    return found


def turned(x: Tensor, theta: float) -> Tensor:
    """Heads (h, t, d) turned by their places from 0, as the rotary embedding says."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[1])[:, None] * theta ** -(torch.arange(half) / half)
    low, high = x[..., :half], x[..., half:]
    return torch.cat((low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin()), dim=-1)


def attended(query: Tensor, key: Tensor, value: Tensor, sees: Tensor) -> Tensor:
    """Attention of heads (h, m, d) on fewer heads (h_kv, t, d), (m, h · d); `sees (m, t)`."""
    shared = len(query) // len(key)
    key, value = (part.repeat_interleave(shared, dim=0) for part in (key, value))
    scores = (query @ key.mT * query.shape[-1] ** -0.5).masked_fill(~sees, -torch.inf)
    return (scores.softmax(dim=-1) @ value).transpose(0, 1).flatten(1)


def normed(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * (x.square().mean(dim=-1, keepdim=True) + eps).rsqrt() * weight
