"""What tells one model's weights, or one vocabulary, from another's."""

from __future__ import annotations

import hashlib
import json
from typing import cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

FINGERPRINT_ROWS = 8
FINGERPRINT_TOKENS = 256


@torch.no_grad()
def fingerprint_of(model: PreTrainedModel) -> str:
    """Equal for the same weights on every device, in bf16 and fp32; changes where they are trained on or merged with.

    Hashed in bf16: rows of every parameter, spread over it, of the embeddings most. Of weights as they were
    loaded: a runner brings them into a form of its own.
    """
    embedding = cast(torch.nn.Embedding, model.get_input_embeddings()).weight
    digest = hashlib.blake2b(digest_size=8)
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        num_rows = FINGERPRINT_TOKENS if parameter is embedding else FINGERPRINT_ROWS
        rows = parameter if parameter.ndim < 2 else parameter[:: max(1, len(parameter) // num_rows)]
        digest.update(rows.detach().bfloat16().cpu().contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def fingerprint_of_vocabulary(tokenizer: PreTrainedTokenizerBase) -> str:
    """Equal for two tokenizers exactly when every token id means the same text."""
    vocabulary = sorted(tokenizer.get_vocab().items())
    return hashlib.blake2b(json.dumps(vocabulary).encode(), digest_size=8).hexdigest()
