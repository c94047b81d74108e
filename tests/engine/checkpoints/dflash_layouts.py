"""DFlash's published layouts, written small, and a reference forward from the formats' description.

The target is eagle_layouts.py's, 64 wide with 64 tokens and 8 layers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from engine import drafters
from engine.checkpoints import convert
from engine.drafters.base import Context
from engine.drafters.heads.dflash.method import DFlash
from tests.engine.checkpoints.begun import Checkpoint, Tensors, attended, begun, normed, turned, written
from tests.engine.checkpoints.eagle_layouts import (
    HEADS,
    NUM_DRAFTED,
    NUM_LAYERS,
    NUM_TOKENS,
    WIDTH,
    layer,
    norms,
    plain_model,
    reduced,
    some,
    target,
)

MASK = NUM_TOKENS - 1


@dataclass(frozen=True)
class Published(Checkpoint):
    """A checkpoint, and what its description says of it."""

    taps: tuple[int, ...]
    head_dim: int
    block_size: int
    theta: float
    windows: tuple[int, ...] = (0, 0)
    causal: tuple[bool, ...] = (False, False)
    is_anchor_asked: bool = False
    scales: tuple[float, float, float] = (1.0, 1.0, 0.0)
    """Of embeddings, of logits, and the logits' softcap."""


def backbone(size: int, states: int, dim: int) -> Tensors:
    """Two Qwen3 layers, four heads on two, and what stands around them."""
    found: Tensors = {}
    for number in range(2):
        own = layer(f"layers.{number}", size, size, queries=4 * dim, keys=2 * dim)
        found |= {name: tensor.roll(number) for name, tensor in own.items()}
        found |= norms(f"layers.{number}.input_layernorm", size)
        for part in "qk":
            found |= norms(f"layers.{number}.self_attn.{part}_norm", dim)
    return found | {"fc.weight": some(size, states)} | norms("hidden_norm", size) | norms("norm", size)


def _z_lab() -> Published:
    own = {"target_layer_ids": [1, 3, 6], "mask_token_id": MASK, "block_size": 5}
    config = {**HEADS, "architectures": ["DFlashDraftModel"], "rope_theta": 500.0, "dflash_config": own}
    return Published(backbone(WIDTH, 3 * WIDTH, 16), config, (2, 4, 7), 16, 5, 500.0)


def _windowed() -> Published:
    """A window, the block causal there; layers spaced as the code does; embeddings and logits scaled."""
    own = {"mask_token_id": MASK, "input_embedding_scale": 3.0, "output_multiplier": 2.0}
    config = {
        **HEADS,
        "block_size": 6,
        "num_target_layers": NUM_LAYERS,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 700.0},
        "dflash_config": {**own, "final_logit_softcapping": 5.0},
    }
    tensors = backbone(WIDTH, 2 * WIDTH, 16)
    windows, causal = (4, 0), (True, False)
    return Published(tensors, config, (2, 6), 16, 6, 700.0, windows, causal, scales=(3.0, 2.0, 5.0))


def _speculators() -> Published:
    """Another width than the target's, heads of a width of their own, tables padded longer, some tokens drafted."""
    size, padded = 48, NUM_TOKENS + 16
    tensors = backbone(size, 2 * WIDTH, 12) | reduced(padded)
    tensors |= {"lm_head.weight": 4 * some(NUM_DRAFTED, size), "embed_tokens.weight": some(padded, size, seed=4)}
    own = {**HEADS, "head_dim": 12, "rope_theta": 300.0, "model_type": "qwen3", "vocab_size": padded}
    config = {
        "speculators_model_type": "dflash",
        "transformer_layer_config": {**own, "layer_types": ["sliding_attention"] * 2, "sliding_window": 6},
        "target_hidden_size": WIDTH,
        "aux_hidden_state_layer_ids": [3, 6],
        "block_size": 4,
        "mask_token_id": padded - 1,
        "sliding_window_non_causal": True,
        "sample_from_anchor": False,
    }
    return Published(tensors, config, (3, 6), 12, 4, 300.0, windows=(6, 6))


def _deepspec() -> Published:
    """The root's row foresees as well; tables of the drafter's own."""
    tensors = backbone(WIDTH, 3 * WIDTH, 16)
    tensors |= {"lm_head.weight": 4 * some(NUM_TOKENS, WIDTH), "embed_tokens.weight": some(NUM_TOKENS, WIDTH, seed=4)}
    own = {"block_size": 4, "target_layer_ids": [0, 2, 5], "mask_token_id": 7, "markov_rank": 0, "num_anchors": 512}
    return Published(tensors, {**HEADS, **own, "rope_theta": 500.0}, (1, 3, 6), 16, 4, 500.0, is_anchor_asked=True)


PUBLISHED: dict[str, Callable[[], Published]] = {
    "z-lab": _z_lab,
    "z-lab, windows": _windowed,
    "speculators": _speculators,
    "DeepSpec": _deepspec,
}


def made(tmp_path: Path, published: Published, method: str = "dflash", **options: object) -> DFlash:
    assert convert(written(tmp_path / "published", published), tmp_path / "out").method == method
    found = drafters.create(method, {"weights": str(tmp_path / "out"), "budget": 8, **options}, target())
    assert isinstance(found, DFlash)
    return found


def started(drafter: DFlash, ids: Sequence[int], seed: int = 1, **settings: Any) -> Context:
    """A session of the target whose text is these tokens."""
    return begun(target(), drafter, ids, seed, **settings)


class Reference:
    """The drafter's forward on one block as its description says, in float32."""

    def __init__(
        self, published: Published, context: Context, model: transformers.PreTrainedModel | None = None
    ) -> None:
        """Of a text whose places but the last have the states of this target."""
        assert context.prompt_hidden is not None
        self.published, model, self.ids = published, model or plain_model(), context.ids
        self.tensors = {name: tensor.float() for name, tensor in published.tensors.items()}
        table = model.get_input_embeddings().weight  # type: ignore[operator]
        self.embedding = self.tensors.get("embed_tokens.weight", table)
        self.head = self.tensors.get("lm_head.weight", model.get_output_embeddings().weight)  # type: ignore[operator]
        states = torch.cat([part.float() for part in context.prompt_hidden], dim=-1)
        self.features = self._norm(states @ self.tensors["fc.weight"].T, "hidden_norm")

    @functools.cached_property
    def states(self) -> Tensor:
        """What the output layer reads at each place behind the root, (places, d)."""
        own = self.published
        mask = own.config.get("dflash_config", own.config)["mask_token_id"]
        x = own.scales[0] * self.embedding[[self.ids[-1], *[mask] * (own.block_size - 1)]]
        for number in range(2):
            x = self._layer(x, number)
        return self._norm(x, "norm")[0 if own.is_anchor_asked else 1 :]

    def logits(self, states: Tensor) -> Tensor:
        """(places, n) of the drafter's tokens."""
        _, logit_scale, softcap = self.published.scales
        logits = logit_scale * states @ self.head.T
        return softcap * (logits / softcap).tanh() if softcap else logits

    def token_ids(self) -> Tensor:
        """(n,): the target's tokens that the drafter scores."""
        return torch.arange(len(self.head)) + self.tensors.get("d2t", torch.zeros(len(self.head))).long()

    def laws(self) -> tuple[Tensor, Tensor]:
        """The drafter's tokens (n,) and what it expects at each place behind the root, (places, n)."""
        return self.token_ids(), self.logits(self.states).softmax(dim=-1)

    def chain(self) -> tuple[list[int], list[float]]:
        """The likeliest token of each place, and its probability."""
        ids, laws = self.laws()
        best = laws.max(dim=1)
        return ids[best.indices].tolist(), best.values.tolist()

    def _layer(self, x: Tensor, number: int) -> Tensor:
        name = f"layers.{number}"
        given = self._norm(x, f"{name}.input_layernorm")
        x = x + self._around(f"{name}.attention", given, lambda rows: self._seen(rows, number))
        given = self._norm(x, f"{name}.post_attention_layernorm")
        return x + self._around(f"{name}.mlp", given, lambda rows: self._mixed(rows, f"{name}.mlp"))

    def _around(self, name: str, given: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """What a part of a layer adds to rows, with whatever stands around it."""
        return part(given)

    def _seen(self, given: Tensor, number: int) -> Tensor:
        return self._attended(given, number) @ self._of(f"layers.{number}.self_attn.o_proj").T

    def _mixed(self, given: Tensor, name: str) -> Tensor:
        gate, up, down = (self._of(f"{name}.{part}_proj") for part in ("gate", "up", "down"))
        return (nn.functional.silu(given @ gate.T) * (given @ up.T)) @ down.T

    def _attended(self, given: Tensor, number: int) -> Tensor:
        """Features stand in front of the rows, for keys and values alone."""
        name, dim = f"layers.{number}.self_attn", self.published.head_dim
        rows, num = torch.cat((self.features, given)), len(self.features)
        heads = {part: (rows @ self._of(f"{name}.{part}_proj").T).view(len(rows), -1, dim) for part in "qkv"}
        query, key = (self._norm(heads[part], f"{name}.{part}_norm").transpose(0, 1) for part in "qk")
        query, key = (turned(part, self.published.theta) for part in (query, key))
        return attended(query[:, num:], key, heads["v"].transpose(0, 1), self._sees(len(rows), number)[num:])

    def _sees(self, num_rows: int, number: int) -> Tensor:
        back = torch.arange(num_rows)[:, None] - torch.arange(num_rows)
        window = self.published.windows[number] or num_rows
        ahead = 1 if self.published.causal[number] else window
        return (back < window) & (back > -ahead)

    def _of(self, name: str) -> Tensor:
        return self.tensors[f"{name}.weight"]

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return normed(x, self._of(name), HEADS["rms_norm_eps"])
