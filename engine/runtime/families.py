"""Which models can be run: what a family must have for draft trees to be scored and rolled back.

Refusals name the family and come before anything runs. They are read off the config and the module; whether
what is then run is right, guards.py finds out.
"""

from __future__ import annotations

from transformers import PreTrainedModel

from engine.errors import BadInput

COMPILED = {"llama", "mistral", "qwen2", "qwen3"}
"""Families that have a compiled pass on a CPU (cpu/decoder.py)."""
SERVED = {"full_attention", "sliding_attention"}
"""Kinds of layers whose masks runner.py builds."""


def family_of(model: PreTrainedModel) -> str:
    """A model's family, as its config has it: `phi3`."""
    return str(model.config.get_text_config().model_type)


def refuse_unsupported(model: PreTrainedModel) -> None:
    """Raises BadInput for a model with parts that draft trees cannot be scored or rolled back with."""
    types = set(getattr(model.config.get_text_config(), "layer_types", None) or SERVED)
    if "chunked_attention" in types:
        raise _refusal(model, "attends in chunks of the text, for which the engine has no masks")
    if not types <= SERVED or getattr(model, "_is_stateful", False):
        raise _refusal(model, "keeps a recurrent state, which cannot be rolled back after a rejection")
    if any(name.endswith("sinks") for name, _ in model.named_parameters()):
        raise _refusal(model, "has attention sinks, which the engine's attention does not compute")


def sliding_window(model: PreTrainedModel) -> int | None:
    """The window of a model that mixes full and sliding layers, else None.

    A model whose every layer slides is run with a context no longer than its window (models/loaded.py).
    """
    config = model.config.get_text_config()
    types = getattr(config, "layer_types", None) or []
    return config.sliding_window if "sliding_attention" in types and "full_attention" in types else None


def install_attention(model: PreTrainedModel, name: str) -> None:
    """Let a model attend by a function that was registered with transformers under this name.

    Raises BadInput for a family that attends in its own code: transformers then keeps that code without a
    word, and it would add the engine's masks, True and False, to the scores as numbers.
    """
    model.set_attn_implementation(name)
    if model.config.get_text_config()._attn_implementation != name:
        raise refuse_attention(model)


def refuse_attention(model: PreTrainedModel) -> BadInput:
    """Why a model that does not attend through the engine's functions is refused."""
    return _refusal(model, "computes attention in code of its own, which takes no mask of a draft tree")


def _refusal(model: PreTrainedModel, reason: str) -> BadInput:
    return BadInput(
        f"A {family_of(model)} model {reason}; choose a model of another family, such as Llama, Qwen, Mistral, "
        "Gemma, Phi-3, StableLM, GPT-NeoX, OPT or GPT-2."
    )
