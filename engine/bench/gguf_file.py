"""A Llama model as a GGUF file for llama.cpp, in the dtype that it has: the same numbers, no rounding.

The file holds no vocabulary: token ids go in and come out. Norms are stored in float32, as llama.cpp wants them, which
holds every bf16 and fp16 number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.errors import BadInput

_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""transformers' names below a layer, and GGUF's."""


def write(path: Path, model: PreTrainedModel) -> None:
    """The model's weights and sizes. Raises BadInput for any model but a plain Llama, ImportError without `gguf`."""
    import gguf

    config: Any = model.config
    _check(config)
    writer = gguf.GGUFWriter(path, "llama")
    _write_sizes(writer, config)
    for name, weight in tensors(model):
        kind = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}[weight.dtype]
        data = weight.detach().contiguous().cpu().view(torch.uint8).numpy()
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """GGUF's names with their weights, the rows of queries and keys in llama.cpp's order."""
    config: Any = model.config
    weights = model.state_dict()
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    for layer in range(config.num_hidden_layers):
        for name, gguf_name in _LAYER_NAMES.items():
            weight = weights[f"model.layers.{layer}.{name}.weight"]
            if name == "self_attn.q_proj":
                weight = _neighbouring(weight, config.num_attention_heads)
            if name == "self_attn.k_proj":
                weight = _neighbouring(weight, config.num_key_value_heads)
            yield f"blk.{layer}.{gguf_name}.weight", weight.float() if weight.dim() == 1 else weight
    yield "output_norm.weight", weights["model.norm.weight"].float()
    if not config.tie_word_embeddings:
        yield "output.weight", weights["lm_head.weight"]


def _neighbouring(weight: Tensor, num_heads: int) -> Tensor:
    """Rotary pairs side by side within each head; transformers has them half a head apart."""
    size = weight.shape[0] // num_heads
    return weight.view(num_heads, 2, size // 2, -1).transpose(1, 2).reshape(weight.shape)


def _check(config: Any) -> None:
    scaling = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    is_llama = config.model_type == "llama" and scaling == "default"
    if not is_llama or config.attention_bias or config.mlp_bias:
        raise BadInput(
            f"A model of type {config.model_type} with {scaling} rotary positions cannot be handed over; wanted a "
            "Llama model without biases and without stretched positions."
        )


def _write_sizes(writer: Any, config: Any) -> None:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
