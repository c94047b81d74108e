"""Decoder layers that stand alone: what trained drafters run beside the target, fed with states, not tokens."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from engine.errors import BadInput


def layers_of(config: PreTrainedConfig, tensors: Mapping[str, Tensor]) -> PreTrainedModel:
    """A model of `config`'s layers and final norm, for `ModelRunner.extend` with states; it has no vocabulary.

    `tensors` are named as in a decoder: `layers.0.mlp.up_proj.weight`, `norm.weight`. They are used as they are, on
    their device and in their dtype. Raises BadInput where one is missing, strange or of another size.
    """
    config = copy.deepcopy(config)
    config.vocab_size, config.tie_word_embeddings = 1, False
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    some = next(iter(tensors.values()))
    token = some.new_zeros(1, config.hidden_size)
    given = {f"model.{name}": tensor for name, tensor in tensors.items()}
    given |= {"model.embed_tokens.weight": token, "lm_head.weight": token}
    wanted = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in given.items()}
    if odd := sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name)):
        raise BadInput(
            f"The tensor {odd[0].removeprefix('model.')} has size {found.get(odd[0], 'none')}; wanted "
            f"{wanted.get(odd[0], 'none of this name')}."
        )
    model.load_state_dict(given, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(some.device)
    return cast(PreTrainedModel, model.requires_grad_(False).eval())
