"""A model's weights in the form that its passes run in: packed once, for all who share the model."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from engine.runtime.compiled import runs_compiled
from engine.runtime.linear import pack_linears

if TYPE_CHECKING:
    from engine.runtime.cpu.decoder import CompiledDecoder

_PREPARED: weakref.WeakKeyDictionary[PreTrainedModel, CompiledDecoder | None] = weakref.WeakKeyDictionary()
_PREPARING = threading.Lock()
"""Packing frees a model's own weights: who comes second must not pack what is left."""


def prepare(model: PreTrainedModel) -> CompiledDecoder | None:
    """Bring a model's weights into the form its passes run in, once for all who share it.

    None means transformers' own forward.
    """
    with _PREPARING:
        if model not in _PREPARED:
            _PREPARED[model] = _compiled(model) if runs_compiled(model.device) else None
        return _PREPARED[model]


def _compiled(model: PreTrainedModel) -> CompiledDecoder | None:
    """Its compiled pass; of a family that has none, products and experts are brought into their form for a CPU."""
    from engine.runtime.cpu.decoder import CompiledDecoder, supports
    from engine.runtime.cpu.experts import run_row_by_row

    if supports(model):
        return CompiledDecoder(model)
    pack_linears(model)
    run_row_by_row(model)
    return None
