"""A tiny Llama with a tokenizer as a GGUF file, written by the format's own package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

HIDDEN, FEED, VOCAB_SIZE, CONTEXT = 32, 64, 20, 128
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
TOKENS = ["<|end|>", *"abcdefghijklmnopqr", "ab"]
LAYER = {
    "attn_norm": (HIDDEN,),
    "attn_q": (HIDDEN, HIDDEN),
    "attn_k": (HIDDEN // 2, HIDDEN),
    "attn_v": (HIDDEN // 2, HIDDEN),
    "attn_output": (HIDDEN, HIDDEN),
    "ffn_norm": (HIDDEN,),
    "ffn_gate": (FEED, HIDDEN),
    "ffn_up": (FEED, HIDDEN),
    "ffn_down": (HIDDEN, FEED),
}
SHAPES: dict[str, tuple[int, ...]] = {
    "token_embd.weight": (VOCAB_SIZE, HIDDEN),
    "output_norm.weight": (HIDDEN,),
    **{f"blk.0.{name}.weight": shape for name, shape in LAYER.items()},
}
"""In torch's order; embeddings are tied."""


def write_gguf(
    path: Path, seed: int = 0, *, is_quantised: bool = False, dtype: Any = np.float32, lacking: tuple[str, ...] = ()
) -> Path:
    """One layer of width 32, two heads on one of keys and values; its answers are noise. `dtype` is the matrices'."""
    writer = GGUFWriter(path, "llama")
    _describe(writer)
    for name, shape in SHAPES.items():
        values = values_of(name, seed)
        if is_quantised and len(shape) == 2:
            writer.add_tensor(name, _blocks(values), raw_dtype=GGMLQuantizationType.Q4_1)
        elif name not in lacking:
            writer.add_tensor(name, values.astype(dtype) if len(shape) == 2 else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def values_of(name: str, seed: int = 0) -> np.ndarray:
    """A tensor as it is written, float32."""
    return np.random.default_rng([seed, len(name)]).normal(size=SHAPES[name]).astype(np.float32)


def _describe(writer: GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(VOCAB_SIZE)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] + [1] * (VOCAB_SIZE - 1))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_chat_template(TEMPLATE)


def _blocks(values: np.ndarray) -> np.ndarray:
    """Q4_1: 32 numbers as a scale, a lowest value (float16 both) and 16 bytes of nibbles."""
    rows = values.reshape(-1, 32)
    low, high = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
    scale = (high - low) / 15
    nibbles = np.clip(np.round((rows - low) / scale), 0, 15).astype(np.uint8)
    packed = nibbles[:, :16] | nibbles[:, 16:] << 4
    head = np.concatenate([scale, low], 1).astype(np.float16).view(np.uint8)
    return np.concatenate([head, packed], 1).reshape(len(values), -1)
