"""Tiny models of a family, randomly initialised and loud enough that a wrong mask or position shows in the logits."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any, cast

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from engine.models import LoadedModel, context_length
from toys.families import FAMILIES, VOCAB_SIZE, sizes
from toys.letters import loaded

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def build(config: Any, dtype: str = "float32", seed: int = 0, attention: str = "eager") -> PreTrainedModel:
    """A randomly initialised model; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return cast(PreTrainedModel, model.to(DTYPES[dtype]).requires_grad_(False).eval())


@functools.cache
def tiny(family: str, dtype: str = "float32", seed: int = 0) -> LoadedModel:
    """A tiny model for the engine to run (it changes the model's attention and linear layers)."""
    config = FAMILIES[family]()
    return loaded(build(config, dtype, seed), VOCAB_SIZE, context_length(config), name=f"tiny-{family}")


@functools.cache
def stock(family: str, dtype: str = "float32", seed: int = 0) -> PreTrainedModel:
    """The same weights in an untouched transformers model: the reference."""
    return build(FAMILIES[family](), dtype, seed)


@functools.cache
def draft_for(vocab_size: int, max_context: int, seed: int = 7) -> LoadedModel:
    """A tiny Llama of any vocabulary, to draft for a target that it knows nothing of."""
    config = transformers.LlamaConfig(**sizes(vocab_size=vocab_size, max_position_embeddings=max_context))
    return loaded(masking(build(config, seed=seed)), vocab_size, max_context, name="tiny-draft")


def masking(model: Any) -> Any:
    """A model whose last token is its mask, for methods that fill some."""
    model.config.pard_token = model.config.vocab_size - 1
    return model


@torch.inference_mode()
def stock_logits(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """Logits (t, v) of a plain causal pass, float32."""
    return cast(Tensor, model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float())


@torch.inference_mode()
def logits_of(model: PreTrainedModel, states: Tensor) -> Tensor:
    """What a model makes of states (k, h) behind its last norm: logits (k, v) float32."""
    logits: Tensor = model.get_output_embeddings()(states).float()  # type: ignore[operator,misc]
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return softcap * torch.tanh(logits / softcap) if softcap else logits


def prompt_ids(num_tokens: int, vocab_size: int = VOCAB_SIZE, seed: int = 1) -> list[int]:
    """Some tokens."""
    rng = random.Random(seed)
    return [rng.randrange(vocab_size) for _ in range(num_tokens)]


def randomised(module: torch.nn.Module, scale: float = 2.0) -> None:
    """Random weights in which every part matters: a fresh layer adds nothing."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.3 * noise if parameter.ndim == 1 else noise * scale * parameter.shape[1] ** -0.5)
    module.requires_grad_(False)


def losses_of(module: torch.nn.Module, *given: torch.Tensor, num_steps: int, lr: float) -> list[float]:
    """What a module's loss over these is in each of so many steps of its training."""
    optimizer = torch.optim.AdamW([one for one in module.parameters() if one.requires_grad], lr=lr)
    losses = []
    for _ in range(num_steps):
        optimizer.zero_grad()
        loss = module(*given)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
