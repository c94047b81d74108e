"""A Llama-shaped model's weights in the form that compiled passes read, and its forward over rows.

Same arithmetic as transformers' Llama, Mistral, Qwen2 and Qwen3, at least as exact: weights, keys and values, and what
enters a product are of the model's dtype, everything between is float32. Weights only; the cache comes with each pass.
"""

from __future__ import annotations

import functools
import itertools
import sys
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.runtime.cpu import tiles
from engine.runtime.cpu.crew import CREW
from engine.runtime.cpu.kv import CompiledCache
from engine.runtime.cpu.linear import Product
from engine.runtime.cpu.memory import Memory, Sizes
from engine.runtime.cpu.products import COLUMNS, Matrix, aligned, pack, width_of
from engine.runtime.cpu.records import Rows, Shape, Weights
from engine.runtime.cpu.rotary import RotaryTables
from engine.runtime.cpu.rows import Floats
from engine.runtime.cpu.vectors import LANES
from engine.runtime.cpu.whole_pass import run
from engine.runtime.extra import Mask
from engine.runtime.families import COMPILED
from engine.runtime.passes import Found, Inputs, Pass

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
_SMALL_BYTES = 3_000_000
"""Of weights: a pass over less is done before another thread has woken."""


def supports(model: PreTrainedModel) -> bool:
    """Whether this model is one of the families, without parts that this pass leaves out."""
    config = model.config
    if getattr(config, "model_type", "") not in COMPILED or model.device.type != "cpu" or model.dtype not in DTYPES:
        return False
    rope = config.rope_parameters or {}
    is_default_rope = rope.get("rope_type", "default") in ("default", "llama3", "linear")
    is_whole = rope.get("partial_rotary_factor", 1.0) == 1.0 and _head_dim(config) % 2 == 0
    is_full = set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    has_plain_biases = not getattr(config, "mlp_bias", False) and model.model.layers[0].self_attn.o_proj.bias is None
    return is_default_rope and is_whole and is_full and has_plain_biases and config.hidden_act == "silu"


@functools.cache
def announce_compiling() -> None:
    """Say once, on stderr, that the first pass after an installation has to be compiled."""
    cache: Any = run
    folder = Path(cache._cache.cache_path)
    if not any(folder.glob("whole_pass.run-*.nbi")):
        print("specviz: compiling the model's pass for this processor, once: about half a minute …", file=sys.stderr)


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


class CompiledDecoder:
    """A model's weights, packed, and passes over (m,) rows."""

    is_row_invariant = True

    def __init__(self, model: PreTrainedModel) -> None:
        announce_compiling()
        config: Any = model.config
        self.dtype = model.dtype
        self.num_layers: int = config.num_hidden_layers
        self.num_heads: int = config.num_attention_heads
        self.num_kv_heads: int = config.num_key_value_heads
        self.head_dim = _head_dim(config)
        self.hidden_size: int = config.hidden_size
        self.intermediate_size: int = config.intermediate_size
        self.epsilon = float(config.rms_norm_eps)
        self._embedding = bits_of(cast(nn.Embedding, model.get_input_embeddings()).weight)
        self.num_tokens = len(model.lm_head.weight)
        self.rotary = RotaryTables(model)
        layers: Any = model.model.layers
        self.has_bias = layers[0].self_attn.q_proj.bias is not None
        self.has_head_norms = hasattr(layers[0].self_attn, "q_norm")
        self.weights = self._pack(model, layers)
        self.head = Product(self.weights.head, self.num_tokens, self.hidden_size, model.lm_head.bias)
        self.memory = Memory(
            self.weights,
            Sizes(
                hidden=self.hidden_size,
                attended=self.num_heads * self.head_dim,
                active=self.intermediate_size,
                head_dim=self.head_dim,
                num_kv_heads=self.num_kv_heads,
            ),
        )
        self.lock = threading.Lock()

    def new_cache(self) -> CompiledCache:
        """An empty KV cache for this model."""
        return CompiledCache(self.num_layers, self.num_kv_heads, self.head_dim, self.dtype)

    def _pack(self, model: Any, layers: Any) -> Weights:
        """All weights in their packed form; the model's own are freed, but for embeddings, norms and output layer."""
        qkv, output, gate_up, down, biases = [], [], [], [], []
        for layer in layers:
            attention, mlp = layer.self_attn, layer.mlp
            inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
            qkv.append(pack(torch.cat([linear.weight for linear in inputs])))
            biases.append(torch.cat([linear.bias for linear in inputs]) if self.has_bias else torch.zeros(1))
            output.append(pack(attention.o_proj.weight))
            gate_up.append(pack(interleaved(mlp.gate_proj.weight, mlp.up_proj.weight)))
            down.append(pack(mlp.down_proj.weight))
            for linear in (*inputs, attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj):
                linear.weight = nn.Parameter(torch.empty(0, dtype=linear.weight.dtype), requires_grad=False)
        has_head_bias = model.lm_head.bias is not None
        return Weights(
            qkv=stacked(qkv),
            output=stacked(output),
            gate_up=stacked(gate_up),
            down=stacked(down),
            head=pack(model.lm_head.weight),
            norms=self._norms(model, layers),
            qkv_bias=numbers(torch.stack(biases)),
            head_norms=self._head_norms(layers),
            head_bias=filled_up(numbers(model.lm_head.bias)) if has_head_bias else np.zeros(1, np.float32),
        )

    def _norms(self, model: Any, layers: Any) -> Floats:
        found = [(layer.input_layernorm.weight, layer.post_attention_layernorm.weight) for layer in layers]
        found.append((model.model.norm.weight, model.model.norm.weight))
        return numbers(torch.stack([torch.stack(pair) for pair in found]))

    def _head_norms(self, layers: Any) -> Floats:
        if not self.has_head_norms:
            return np.ones((1, 2, 1), np.float32)
        pairs = [torch.stack((layer.self_attn.q_norm.weight, layer.self_attn.k_norm.weight)) for layer in layers]
        return numbers(torch.stack(pairs))

    def entering(self, inputs: Inputs) -> Floats:
        """Rows (m, h) as they enter the first layer of a pass, in float32: states as they are, ids embedded."""
        if isinstance(inputs, Tensor):
            return numbers(inputs)
        rows: Any = self._embedding[np.asarray(inputs)]
        if self.dtype == torch.bfloat16:
            rows = (rows.astype(np.uint32) << np.uint32(16)).view(np.float32)
        elif self.dtype == torch.float16:
            rows = rows.view(np.float16).astype(np.float32)
        found: Floats = rows
        return found

    def forward(self, wanted: Pass, cache: CompiledCache) -> Found:
        """One pass; logits in float32. Extra rows are computed from their own layer on.

        Keys and values go to the cache's columns from `wanted.column` on.
        """
        with self.lock:
            return self._forward(wanted, cache)

    def _forward(self, wanted: Pass, cache: CompiledCache) -> Found:
        num_rows, memory, span, layout = len(wanted.positions), self.memory, wanted.span, wanted.layout
        cache.reserve(wanted.column + num_rows)
        memory.reserve(num_rows, cache.capacity, CREW.size)
        cos, sin = self.rotary.at(wanted.positions)
        present = wanted.num_real
        memory.x[:present, : self.hidden_size] = self.entering(wanted.inputs)
        taken: dict[int, Tensor] = {}
        num_scored = wanted.scored.stop - wanted.scored.start
        logits = np.empty((memory.padded(num_scored), len(self.weights.head) * COLUMNS), np.float32)
        is_normed = False
        for first, end in itertools.pairwise((*borders_of(wanted), self.num_layers + 1)):
            if first in wanted.hidden_layers and first < self.num_layers:
                taken[first] = memory.states(memory.x, present, self.dtype)
            if layout is not None and first in layout.groups:
                entering = layout.entering(first, memory.states(memory.x, present, self.dtype))
                memory.x[present : present + len(entering), : self.hidden_size] = entering.float().numpy()
                present += len(entering)
            if first in span.skip or (first == span.end and (is_normed or not wanted.is_normed)):
                continue
            rows = Rows(cos[:present], sin[:present], *looks_of(wanted.mask, present, num_rows, wanted.num_committed))
            end = min(end, self.num_layers)
            is_normed = wanted.is_normed and end == self.num_layers
            shape = self.shape(first, end, present, wanted.column, wanted.scored, is_last=is_normed)
            self._run(shape, rows, cache, memory, logits)
        if self.num_layers in wanted.hidden_layers:
            taken[self.num_layers] = memory.states(memory.normed, present, self.dtype)
        return Found(
            logits=torch.from_numpy(logits)[:num_scored, : self.num_tokens],
            hidden=tuple(taken[layer] for layer in wanted.hidden_layers),
            states=None if wanted.is_scored else memory.states(memory.x, wanted.num_real, torch.float32),
        )

    def shape(self, first: int, end: int, num_rows: int, column: int, scored: slice, *, is_last: bool) -> Shape:
        """A pass over some of the layers; its keys and values go to the cache's columns from `column` on."""
        return Shape(
            first_layer=first,
            end_layer=end,
            num_rows=num_rows,
            first_column=column,
            first_scored=scored.start,
            num_scored=scored.stop - scored.start,
            is_last=is_last,
            hidden=self.hidden_size,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_dim=self.head_dim,
            head_width=width_of(self.head_dim, LANES),
            epsilon=np.float32(self.epsilon),
            scale=np.float32(self.head_dim**-0.5),
            has_bias=self.has_bias,
            has_head_norms=self.has_head_norms,
            has_head_bias=len(self.weights.head_bias) > 1,
            uses_tiles=self.dtype == torch.bfloat16 and num_rows > tiles.FEW_ROWS and tiles.can_use(),
            is_prompt=False,
        )

    def _run(self, shape: Shape, rows: Rows, cache: CompiledCache, memory: Memory, logits: Floats) -> None:
        size = sum(matrix.nbytes for matrix in self.weights[:5])
        num_threads = 1 if size * shape.num_rows < _SMALL_BYTES else min(CREW.size, self.memory.num_threads)
        work = memory.work(shape, num_threads, logits)
        CREW.run(run, shape, self.weights, cache.keys, cache.values, rows, work, num_threads=num_threads)


def borders_of(wanted: Pass) -> list[int]:
    """Layers before which a pass stops for a moment, its last border among them."""
    groups = wanted.layout.groups if wanted.layout is not None else ()
    return sorted({*wanted.span.borders, *groups, *wanted.hidden_layers})


def looks_of(mask: Mask, present: int, num_all: int, num_committed: int) -> tuple[Any, Any, Any]:
    """Reach, offsets and further columns of each row that is there (whole_pass.Rows), from who may look at whom."""
    looks = mask[:present, : mask.shape[1] - num_all + present]
    ahead = looks.cumprod(axis=1, dtype=np.bool_)
    reach = ahead.sum(axis=1)
    further = looks & ~ahead
    offsets = np.zeros(present + 1, np.int64)
    np.cumsum(further.sum(axis=1), out=offsets[1:])
    return reach + num_committed, offsets, np.nonzero(further)[1] + num_committed


def interleaved(gate: Tensor, up: Tensor) -> Tensor:
    """Gate's and up's rows (i, h) in turn, 16 each, filled up with zeros → (2 i, h)."""
    size = width_of(len(gate), LANES)
    parts = [
        nn.functional.pad(weight.detach(), (0, 0, 0, size - len(weight))).view(-1, LANES, weight.shape[1])
        for weight in (gate, up)
    ]
    return torch.stack(parts, dim=1).view(2 * size, -1)


def stacked(matrices: list[Matrix]) -> Matrix:
    """The layers' matrices behind each other."""
    return aligned(np.stack(matrices))


def bits_of(tensor: Tensor) -> Any:
    """A tensor's numbers as they stand in memory: bfloat16 and float16 as their bits."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.float32:
        return tensor.numpy()
    return tensor.view(torch.uint16 if tensor.dtype == torch.bfloat16 else torch.int16).numpy()


def filled_up(bias: Floats) -> Floats:
    """With zeros, to whole blocks of columns."""
    return np.pad(bias, (0, width_of(len(bias), COLUMNS) - len(bias)))


def numbers(tensor: Tensor) -> Floats:
    """A tensor's numbers in float32, apart from it."""
    return np.array(tensor.detach().float().numpy(), dtype=np.float32, order="C")
