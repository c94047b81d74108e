"""EAGLE's published layouts, written small, and a reference forward from the formats' description.

Sizes tell parts apart: target 64 wide with 64 tokens and 8 layers; drafters of other widths, heads and vocabularies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn
from toys import build, loaded
from toys.families import sizes

from engine import drafters
from engine.checkpoints import convert
from engine.drafters.base import Context
from engine.drafters.heads.eagle.method import Eagle
from engine.target import Target
from tests.engine.checkpoints.begun import Checkpoint, Tensors, attended, begun, normed, turned, written

WIDTH, NUM_TOKENS, NUM_LAYERS, NUM_DRAFTED = 64, 64, 8, 20


@functools.cache
def plain_model() -> transformers.PreTrainedModel:
    """Eight layers, so that the default taps differ; untouched by the engine."""
    return build(transformers.LlamaConfig(**sizes(num_hidden_layers=NUM_LAYERS)))


@functools.cache
def target() -> Target:
    """The same model as the engine runs it."""
    return Target(loaded(build(plain_model().config), NUM_TOKENS, 160, name="eight"))


def some(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator) * (shape[-1] ** -0.5 if len(shape) > 1 else 0.3)


def norms(name: str, size: int) -> Tensors:
    return {f"{name}.weight": 1 + some(size, seed=len(name))}


def layer(prefix: str, size: int, given: int, *, queries: int, keys: int, width: int = 40) -> Tensors:
    """A decoder layer whose attention reads `given` numbers."""
    shapes = {
        "self_attn.q_proj": (queries, given),
        "self_attn.k_proj": (keys, given),
        "self_attn.v_proj": (keys, given),
        "self_attn.o_proj": (size, queries),
        "mlp.gate_proj": (width, size),
        "mlp.up_proj": (width, size),
        "mlp.down_proj": (size, width),
    }
    found = {f"{prefix}.{name}.weight": 3 * some(*shape, seed=len(name)) for name, shape in shapes.items()}
    return found | norms(f"{prefix}.post_attention_layernorm", size)


def fused(prefix: str, size: int, states: int, *, queries: int, keys: int) -> Tensors:
    """EAGLE-3's tensors without a vocabulary."""
    found = layer(prefix, size, 2 * size, queries=queries, keys=keys)
    for name in ("input_layernorm", "hidden_norm"):
        found |= norms(f"{prefix}.{name}", size)
    return found | {"fc.weight": some(size, states)} | norms("norm", size)


def reduced(num_tokens: int = NUM_TOKENS) -> Tensors:
    """An output layer of every third token: offsets and marks."""
    ids = torch.arange(1, num_tokens, 3)[:NUM_DRAFTED]
    marks = torch.zeros(num_tokens, dtype=torch.bool).index_fill(0, ids, True)
    return {"d2t": ids - torch.arange(NUM_DRAFTED), "t2d": marks}


HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "vocab_size": NUM_TOKENS}


@dataclass(frozen=True)
class Published(Checkpoint):
    """A checkpoint, and what its description says of it."""

    taps: tuple[int, ...]
    head_dim: int
    theta: float = 10_000.0
    flags: tuple[str, ...] = ()


def _eagle_1(*, has_bias: bool) -> Published:
    tensors = layer("layers.0", WIDTH, WIDTH, queries=64, keys=32)
    tensors |= {"fc.weight": some(WIDTH, 2 * WIDTH), "embed_tokens.weight": some(NUM_TOKENS, WIDTH, seed=4)}
    tensors |= {"fc.bias": some(WIDTH)} if has_bias else {}
    return Published(tensors, {**HEADS, "bias": has_bias}, (-1,), 16, file="pytorch_model.bin")


def _eagle_3() -> Published:
    tensors = fused("midlayer", WIDTH, 3 * WIDTH, queries=64, keys=32) | reduced()
    tensors["lm_head.weight"] = 4 * some(NUM_DRAFTED, WIDTH)
    config = {**HEADS, "draft_vocab_size": NUM_DRAFTED, "rope_theta": 500.0}
    return Published(tensors, config, (2, 4, 5), 16, theta=500.0, file="pytorch_model.bin")


def _specforge() -> Published:
    found = _eagle_3()
    nested = {"eagle_aux_hidden_state_layer_ids": [0, 2, 6], "use_aux_hidden_state": True}
    config = {**found.config, "architectures": ["LlamaForCausalLMEagle3"], "eagle_config": nested, "norm_output": True}
    return Published(found.tensors, config, (1, 3, 7), 16, theta=500.0, flags=("norm_output",))


def _deepspec() -> Published:
    """Five taps, counted as layers, and all tokens drafted."""
    tensors = fused("layers.0", WIDTH, 5 * WIDTH, queries=64, keys=32)
    tensors["lm_head.weight"] = 4 * some(NUM_TOKENS, WIDTH)
    return Published(tensors, {**HEADS, "target_layer_ids": [0, 2, 3, 5, 6]}, (1, 3, 4, 6, 7), 16)


def _speculators() -> Published:
    """Another width than the target's, heads of a width of their own, a table padded longer than the target's."""
    size, padded = 48, NUM_TOKENS + 16
    tensors = fused("layers.0", size, 2 * WIDTH, queries=48, keys=24) | reduced(padded)
    tensors |= {"lm_head.weight": 4 * some(NUM_DRAFTED, size), "embed_tokens.weight": some(padded, size, seed=4)}
    tensors |= norms("input_norm", 2 * WIDTH)
    own = {**HEADS, "head_dim": 12, "rope_theta": 300.0, "model_type": "llama", "vocab_size": padded}
    config = {
        "speculators_model_type": "eagle3",
        "transformer_layer_config": own,
        "target_hidden_size": WIDTH,
        "norm_before_residual": True,
        "norm_before_fc": True,
        "eagle_aux_hidden_state_layer_ids": [3, 6],
    }
    flags = ("norm_before_residual", "norm_before_fc")
    return Published(tensors, config, (3, 6), 12, theta=300.0, flags=flags)


def _eagle_3_1() -> Published:
    """Flags of 3.1, a Qwen3 layer, all tokens drafted through the target's own output layer, and a prefix."""
    tensors = fused("layers.0", WIDTH, 3 * WIDTH, queries=64, keys=32)
    for number in range(3):
        tensors |= {f"fc_norm.{number}.weight": 1 + some(WIDTH, seed=number)}
    for part in "qk":
        tensors |= norms(f"layers.0.self_attn.{part}_norm", 16)
    config = {**HEADS, "eagle_aux_hidden_state_layer_ids": [2, 4, 8], "norm_output": True}
    tensors = {f"model.{name}": tensor for name, tensor in tensors.items()}
    return Published(tensors, config, (2, 4, 8), 16, flags=("fc_norm", "norm_output"))


PUBLISHED: dict[str, Callable[[], Published]] = {
    "EAGLE-1, bias": functools.partial(_eagle_1, has_bias=True),
    "EAGLE-1": functools.partial(_eagle_1, has_bias=False),
    "EAGLE-3": _eagle_3,
    "SpecForge": _specforge,
    "DeepSpec": _deepspec,
    "speculators": _speculators,
    "EAGLE-3.1": _eagle_3_1,
}


def made(tmp_path: Path, published: Published, **options: object) -> Eagle:
    convert(written(tmp_path / "published", published), tmp_path / "out")
    found = drafters.create("eagle", {"weights": str(tmp_path / "out"), "budget": 8, **options}, target())
    assert isinstance(found, Eagle)
    return found


def started(drafter: Eagle, ids: Sequence[int]) -> Context:
    """A session of the target whose text is these tokens."""
    return begun(target(), drafter, ids)


class Reference:
    """The drafter's forward over a whole text, row by row as its description says, in float32."""

    def __init__(
        self, published: Published, context: Context, model: transformers.PreTrainedModel | None = None
    ) -> None:
        """Of a text whose places but the last have the states of this target."""
        assert context.prompt_hidden is not None
        self.published, model, self.ids = published, model or plain_model(), context.ids
        self.tensors = {
            name.removeprefix("model.").replace("midlayer.", "layers.0."): tensor.float()
            for name, tensor in published.tensors.items()
        }
        table = model.get_input_embeddings().weight  # type: ignore[operator]
        self.embedding = self.tensors.get("embed_tokens.weight", table)
        self.head = self.tensors.get("lm_head.weight", model.get_output_embeddings().weight)  # type: ignore[operator]
        self.is_fused = "layers.0.hidden_norm.weight" in self.tensors
        hidden = [part.float() for part in context.prompt_hidden]
        self.given = self._fused(hidden) if self.is_fused else hidden[0]

    def chain(self, depth: int) -> tuple[list[int], list[float]]:
        """Greedy drafts behind the text, and their probabilities."""
        tokens: list[int] = []
        probs: list[float] = []
        for _ in range(depth):
            ids, law = self.law(tokens)
            probs.append(float(law.max()))
            tokens.append(int(ids[law.argmax()]))
        return tokens, probs

    def law(self, drafted: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The drafter's tokens (n,) and what it expects, (n,), behind the text and drafted tokens in a row."""
        states, tokens = self.given, [*self.ids[1:], *drafted]
        for num_tokens in range(len(self.given), len(tokens) + 1):
            output = self._layer(states, tokens[:num_tokens])[-1]
            normed = self._norm(output, "norm") if self.is_fused else output
            states = torch.cat((states, (normed if "norm_output" in self.published.flags else output)[None]))
        law = (normed @ self.head.T).softmax(dim=-1)
        return torch.arange(len(law)) + self.tensors.get("d2t", torch.zeros(len(law))).long(), law

    def _fused(self, hidden: Sequence[Tensor]) -> Tensor:
        parts = [
            self._norm(h, f"fc_norm.{i}") if "fc_norm" in self.published.flags else h for i, h in enumerate(hidden)
        ]
        joined = torch.cat(parts, dim=-1)
        joined = self._norm(joined, "input_norm") if "norm_before_fc" in self.published.flags else joined
        return joined @ self.tensors["fc.weight"].T

    def _layer(self, states: Tensor, tokens: Sequence[int]) -> Tensor:
        embedded = self.embedding[torch.tensor(tokens)]
        if self.is_fused:
            own = self._norm(states, "layers.0.hidden_norm")
            given = torch.cat((self._norm(embedded, "layers.0.input_layernorm"), own), dim=-1)
            states = own if "norm_before_residual" in self.published.flags else states
        else:
            bias = self.tensors.get("fc.bias")
            given = states = nn.functional.linear(torch.cat((embedded, states), -1), self.tensors["fc.weight"], bias)
        x = states + self._attended(given) @ self.tensors["layers.0.self_attn.o_proj.weight"].T
        y = self._norm(x, "layers.0.post_attention_layernorm")
        gate, up, down = (self.tensors[f"layers.0.mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        return x + (nn.functional.silu(y @ gate.T) * (y @ up.T)) @ down.T

    def _attended(self, given: Tensor) -> Tensor:
        dim, heads = self.published.head_dim, {}
        for name in "qkv":
            rows = given @ self.tensors[f"layers.0.self_attn.{name}_proj.weight"].T
            heads[name] = rows.view(len(given), -1, dim).transpose(0, 1)
            if f"layers.0.self_attn.{name}_norm.weight" in self.tensors:
                heads[name] = self._norm(heads[name], f"layers.0.self_attn.{name}_norm")
        query, key = (turned(heads[part], self.published.theta) for part in "qk")
        return attended(query, key, heads["v"], torch.ones(len(given), len(given)).tril().bool())

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return normed(x, self.tensors[f"{name}.weight"], HEADS["rms_norm_eps"])
