"""What a user has without this project, on the same weights: transformers' own `generate`, and llama.cpp.

On a CPU loaded apart from the engine's model, whose weights are packed; elsewhere there is one copy of them.
transformers has its default attention, caches and settings: greedy, whatever else a model's own generation config asks
for (beams, suppressed tokens, n-grams that may not repeat, …).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import AutoModelForCausalLM

from engine import models
from engine.bench import llamacpp
from engine.config import GenerationConfig
from engine.drafters.copying.prompt_lookup import PromptLookupOptions
from engine.errors import BadInput
from engine.models import LoadedModel
from engine.runtime.compiled import runs_compiled
from engine.stock import plain_settings


class Peer(Protocol):
    """A contender that is not of this project."""

    name: str

    @property
    def options(self) -> dict[str, object]:
        """What it is given besides the prompt, in plain values."""

    def generate(self, prompt_ids: list[int], max_new_tokens: int) -> list[int]:
        """Greedy output token ids, end-of-text token included as the engine does."""


class StockPeer:
    """One way of calling transformers' `generate`."""

    def __init__(self, name: str, model: Any, **options: Any) -> None:
        self.name = name
        self._model = model
        self._options = options

    @property
    def options(self) -> dict[str, object]:
        """What `generate` is given besides the prompt, in plain values; a model by its folder's or hub name."""
        return {name: _plain(value) for name, value in self._options.items()}

    @torch.inference_mode()
    def generate(self, prompt_ids: list[int], max_new_tokens: int) -> list[int]:
        """Greedy output token ids, end-of-text token included as the engine does."""
        ids = torch.tensor([prompt_ids], device=self._model.device)
        output = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            **self._options,
        )
        return [int(token) for token in output[0, len(prompt_ids) :]]


def load_peers(
    loaded: LoadedModel,
    source: str,
    config: GenerationConfig,
    which: str = "all",
    tell: Callable[[str], None] = print,
) -> list[Peer]:
    """`generate` plain, assisted (where the target has a draft model) and with prompt lookup; llama.cpp plain and so.

    `which`: both ("all"), "generate" or "llama.cpp". `tell` is told in a sentence why llama.cpp cannot be had, where
    all are asked for.

    Raises BadInput where the settings ask for more than greedy decoding.
    """
    if not config.is_greedy or config.repetition_penalty != 1 or config.stop_strings:
        raise BadInput("Peers decode greedily: --peers needs temperature 0, repetition penalty 1 and no --stop.")
    model = _stock(source, lambda: loaded, loaded)
    if which == "llama.cpp":
        return [*llamacpp.load(model, loaded)]
    peers: list[Peer] = [
        StockPeer("generate", model),
        # As many as our own method copies: what is compared is the engine, not a setting.
        StockPeer("generate(prompt_lookup)", model, prompt_lookup_num_tokens=PromptLookupOptions().depth),
    ]
    if loaded.draft is not None:
        assistant = _stock(loaded.draft, lambda: models.load_draft(models.DraftSpec(), loaded), loaded)
        peers.append(StockPeer("generate(assistant)", model, assistant_model=assistant))
    if which == "generate":
        return peers
    try:
        peers += llamacpp.load(model, loaded)
    except BadInput as error:
        tell(f"llama.cpp is left out. {error}")
    return peers


def _plain(value: Any) -> object:
    return value if isinstance(value, int) else Path(value.name_or_path).name


def _stock(source: str, own: Callable[[], LoadedModel], target: LoadedModel) -> Any:
    """A model as transformers has it; where its weights are not packed, over the engine's `own`."""
    if runs_compiled(target.device):
        model: Any = AutoModelForCausalLM.from_pretrained(
            models.locate(source), dtype=target.dtype, use_safetensors=True, trust_remote_code=False
        )
        model.to(target.device)
    else:
        engines = own().model
        tensors = [*engines.parameters(), *engines.buffers()]
        model = copy.deepcopy(engines, {id(tensor): tensor for tensor in tensors})
        model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    # A draft model's too, since its own settings steer its drafts.
    model.generation_config = plain_settings(target.eos_ids)
    return model.requires_grad_(False).eval()
