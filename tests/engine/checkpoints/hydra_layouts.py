"""Hydra's published layouts, written small, and a reference forward from the format's description.

As `torch.save` of the released module's state has it: dropout takes every other slot of a head of Hydra++, blocks
behind the first are one module under several names, and tables that no drafter needs stand beside them.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from toys import build, loaded
from toys.families import sizes

from engine import drafters
from engine.checkpoints import convert
from engine.drafters.base import Context
from engine.drafters.heads.hydra.method import Hydra
from engine.target import Target
from tests.engine.checkpoints.begun import Checkpoint, Tensors, begun, written

WIDTH, NUM_TOKENS, NUM_HEADS = 64, 64, 3


@functools.cache
def plain_model() -> transformers.PreTrainedModel:
    """Query heads that share keys, and angles of their own; untouched by the engine."""
    return build(transformers.LlamaConfig(**sizes(rope_parameters={"rope_type": "default", "rope_theta": 700.0})))


@functools.cache
def target() -> Target:
    """The same model as the engine runs it."""
    return Target(loaded(build(plain_model().config), NUM_TOKENS, 160, name="shared"))


def some(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator) * (1.5 * shape[-1] ** -0.5 if len(shape) > 1 else 0.3)


UNUSED = {"input_embed_fn.weight": some(NUM_TOKENS, WIDTH)}
"""The released module holds the target's embedding, and saves it."""


def heads(num_layers: int, *, has_dropout: bool) -> Tensors:
    """MLP heads with output layers of their own."""
    found: Tensors = {}
    for head in range(NUM_HEADS):
        slots = [2 * layer + 1 if has_dropout else layer for layer in range(num_layers)]
        given = (head + 2) * WIDTH
        for part in ("linear", "res_connection"):
            found |= affine(f"hydra_mlp.{head}.{slots[0]}.{part}", WIDTH, given, seed=10 * head + len(part))
        for slot in slots[1:]:
            found |= affine(f"hydra_mlp.{head}.{slot}.linear", WIDTH, WIDTH, seed=head)
        found |= affine(f"hydra_lm_head.{head}" + ".1" * has_dropout, NUM_TOKENS, WIDTH, seed=head + 5)
    return found


def affine(name: str, num_rows: int, num_columns: int, seed: int) -> Tensors:
    return {f"{name}.weight": some(num_rows, num_columns, seed=seed), f"{name}.bias": some(num_rows, seed=seed)}


def prefix_layer() -> transformers.LlamaModel:
    """The released code's: a model of one layer, its config a copy of the target's."""
    config = copy.deepcopy(plain_model().config)
    config.num_hidden_layers = 1
    model = transformers.LlamaModel(config).eval().requires_grad_(False)
    for number, parameter in enumerate(model.parameters()):
        noise = some(*parameter.shape, seed=number)
        parameter.copy_(1 + noise if parameter.ndim == 1 else noise)
    return model


@dataclass(frozen=True)
class Published(Checkpoint):
    """A checkpoint, and what its description says of it."""

    num_layers: int
    file: str = field(default="hydra_lm_head.pt", kw_only=True)


def _hydra() -> Published:
    return Published(heads(2, has_dropout=False) | UNUSED, config("mlp", 2), 2)


def _plus() -> Published:
    prefix = prefix_layer().state_dict()
    named = {f"prefix_embeding_layer.{name}": tensor.clone() for name, tensor in prefix.items()}
    named["prefix_embeding_layer.layers.0.self_attn.rotary_emb.inv_freq"] = some(8)
    return Published(heads(4, has_dropout=True) | named | UNUSED, config("prefix-mlp", 4), 4)


def config(arch: str, num_layers: int) -> dict[str, Any]:
    """As released, without any size."""
    return {
        "base_model_name_or_path": "lmsys/vicuna-7b-v1.3",
        "grounded_heads": True,
        "hidden_state_offset": 0,
        "hydra_head_arch": arch,
        "hydra_num_heads": NUM_HEADS,
        "hydra_num_layers": num_layers,
    }


PUBLISHED: dict[str, Callable[[], Published]] = {"Hydra": _hydra, "Hydra++": _plus}


def made(tmp_path: Path, published: Published, **options: object) -> Hydra:
    convert(written(tmp_path / "published", published), tmp_path / "out")
    return opened(tmp_path / "out", **options)


def opened(folder: Path, **options: object) -> Hydra:
    found = drafters.create("hydra", {"weights": str(folder), "budget": 12, **options}, target())
    assert isinstance(found, Hydra)
    return found


def started(drafter: Hydra, ids: Sequence[int]) -> Context:
    """A session of the target whose text is these tokens."""
    return begun(target(), drafter, ids)


class Reference:
    """The heads' forward behind one text, path by path, in float32; its layer is transformers' own."""

    def __init__(self, published: Published, context: Context) -> None:
        assert context.prompt_hidden is not None
        self.tensors, self.num_layers, self.root_id = published.tensors, published.num_layers, context.root_id
        self.embedding = plain_model().get_input_embeddings().weight  # type: ignore[operator]
        hidden = context.prompt_hidden[0].float()
        self.is_plus = published.config["hydra_head_arch"] == "prefix-mlp"
        self.state = prefix_layer()(inputs_embeds=hidden[None])[0][0, -1] if self.is_plus else hidden[-1]

    def law(self, path: Sequence[int]) -> Tensor:
        """What head len(path) expects behind the root and drafted tokens in a row."""
        head, slots = len(path), [1, 3, 5, 7] if self.is_plus else [0, 1]
        x = torch.cat((self.state, *self.embedding[[self.root_id, *path]]))
        y = self._mapped(f"hydra_mlp.{head}.{slots[0]}.res_connection", x)
        y = y + nn.functional.silu(self._mapped(f"hydra_mlp.{head}.{slots[0]}.linear", x))
        for slot in slots[1 : self.num_layers]:
            y = y + nn.functional.silu(self._mapped(f"hydra_mlp.{head}.{slot}.linear", y))
        return self._mapped(f"hydra_lm_head.{head}" + ".1" * self.is_plus, y).softmax(dim=-1)

    def _mapped(self, name: str, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])
