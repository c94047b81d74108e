"""Tiny configs of the model families that the engine runs, and of some that it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers

VOCAB_SIZE = 64
WINDOW = 6
MAX_CONTEXT = 160


def sizes(**more: Any) -> dict[str, Any]:
    """Settings of a tiny decoder, and what else is given."""
    return {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": MAX_CONTEXT,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        **more,
    }


_SMALL: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "hidden_size": 64, "eos_token_id": None, "bos_token_id": None}
_SLIDING = {
    "head_dim": 16,
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention"],
    "query_pre_attn_scalar": 16,
}
_GPT2: dict[str, Any] = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": MAX_CONTEXT}
_OPT: dict[str, Any] = {"word_embed_proj_dim": 64, "ffn_dim": 96, "init_std": 0.2}
BORDER = 24
"""Tokens up to which the LongRoPE family reads with short factors."""
_LONGROPE = {
    "original_max_position_embeddings": BORDER,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 8,
        "long_factor": [4.0 + i for i in range(8)],
    },
}
_MOE = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaConfig(**sizes()),
    "qwen2": lambda: transformers.Qwen2Config(**sizes()),
    "qwen3": lambda: transformers.Qwen3Config(**sizes(head_dim=16)),
    "mistral": lambda: transformers.MistralConfig(**sizes(sliding_window=None, head_dim=16)),
    "gemma2": lambda: transformers.Gemma2Config(**sizes(**_SLIDING)),
    "gemma3": lambda: transformers.Gemma3TextConfig(**sizes(**_SLIDING)),
    "phi3": lambda: transformers.Phi3Config(**sizes()),
    "phi3_longrope": lambda: transformers.Phi3Config(**sizes(**_LONGROPE)),
    "stablelm": lambda: transformers.StableLmConfig(**sizes()),
    "mixtral": lambda: transformers.MixtralConfig(**sizes(**_MOE)),
    "opt": lambda: transformers.OPTConfig(**sizes(**_OPT)),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**sizes()),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=VOCAB_SIZE, initializer_range=0.2, eos_token_id=None, **_GPT2),
}
_OWN_NAMES: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "n_embd": 64, "n_layer": 2, "n_head": 4, "eos_token_id": None}
REFUSED: dict[str, Callable[[], Any]] = {
    "gptj": lambda: transformers.GPTJConfig(rotary_dim=8, **_OWN_NAMES),
    "codegen": lambda: transformers.CodeGenConfig(rotary_dim=8, **_OWN_NAMES),
    "gpt_neo": lambda: transformers.GPTNeoConfig(
        num_layers=2, num_heads=4, attention_types=[[["global"], 2]], **_SMALL
    ),
    "bloom": lambda: transformers.BloomConfig(n_layer=2, n_head=4, **_SMALL),
    "mpt": lambda: transformers.MptConfig(vocab_size=VOCAB_SIZE, d_model=64, n_layers=2, n_heads=4, max_seq_len=160),
    "falcon": lambda: transformers.FalconConfig(num_hidden_layers=2, num_attention_heads=4, **_SMALL),
    "falcon with ALiBi": lambda: transformers.FalconConfig(
        num_hidden_layers=2, num_attention_heads=4, alibi=True, **_SMALL
    ),
    "gpt_oss": lambda: transformers.GptOssConfig(**sizes(head_dim=16, num_experts_per_tok=2, num_local_experts=4)),
    "llama4_text": lambda: transformers.Llama4TextConfig(**sizes(head_dim=16, num_local_experts=2)),
    "mamba": lambda: transformers.MambaConfig(vocab_size=16, hidden_size=16, state_size=4, num_hidden_layers=1),
    "lfm2": lambda: transformers.Lfm2Config(**sizes(layer_types=["conv", "full_attention"])),
}
"""Families that the engine does not run, whose config is named as here but for the words behind a space."""
