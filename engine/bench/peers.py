"""transformers' own `generate` on the same weights: what a user has without this project.

Loaded apart from the engine's model, with transformers' default attention and caches. Greedy.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from engine import models
from engine.models import LoadedModel


class Peer:
    """One way of calling `generate`."""

    def __init__(self, name: str, model: Any, **options: Any) -> None:
        self.name = name
        self._model = model
        self._options = options

    @torch.inference_mode()
    def generate(self, prompt_ids: list[int], max_new_tokens: int) -> list[int]:
        """Greedy output token ids, end-of-text token included as the engine does."""
        ids = torch.tensor([prompt_ids], device=self._model.device)
        output = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=self._model.generation_config.eos_token_id,
            **self._options,
        )
        return [int(token) for token in output[0, len(prompt_ids) :]]


def load_peers(loaded: LoadedModel, source: str) -> list[Peer]:
    """Plain, assisted (where the target has a draft model) and prompt lookup."""
    model = _stock(models.locate(source), loaded)
    peers = [
        Peer("generate", model),
        Peer("generate(prompt_lookup)", model, prompt_lookup_num_tokens=10),
    ]
    if loaded.draft is not None:
        assistant = _stock(models.locate(loaded.draft), loaded)
        peers.append(Peer("generate(assistant)", model, assistant_model=assistant))
    return peers


def _stock(location: str, loaded: LoadedModel) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(
        location, dtype=loaded.dtype, use_safetensors=True, trust_remote_code=False
    )
    model.requires_grad_(False).eval()
    return model.to(loaded.device)
