"""A model's weights in the form that its passes run in: packed once, for all who share the model."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.runtime.compiled import runs_compiled
from engine.runtime.cuda.weights import reason_against
from engine.runtime.linear import pack_linears
from engine.runtime.passes import Inputs

if TYPE_CHECKING:
    from engine.runtime.cpu.decoder import CompiledDecoder
    from engine.runtime.cuda.decoder import StaticDecoder

    Decoder: TypeAlias = CompiledDecoder | StaticDecoder

_PREPARED: weakref.WeakKeyDictionary[PreTrainedModel, Decoder | None] = weakref.WeakKeyDictionary()
_EVERYWHERE: ContextVar[bool] = ContextVar("static_everywhere", default=False)
_PREPARING = threading.Lock()
"""Packing frees a model's own weights: who comes second must not pack what is left."""


Read = Callable[[Any, Inputs, int, Any, Sequence[int]], tuple[Tensor, ...] | None]
"""From decoder, tokens or states, place of the first, cache and layers to hidden states (t, h), if asked for."""


def prepare(model: PreTrainedModel) -> Decoder | None:
    """Bring a model's weights into the form its passes run in, once for all who share it.

    None means transformers' own forward.
    """
    with _PREPARING:
        if model not in _PREPARED:
            _PREPARED[model] = _decoder_of(model)
        return _PREPARED[model]


@contextmanager
def static_everywhere() -> Iterator[None]:
    """Let models that are prepared meanwhile run as on a GPU: to try on a CPU what runs there."""
    token = _EVERYWHERE.set(True)
    try:
        yield
    finally:
        _EVERYWHERE.reset(token)


def runs_static(device: torch.device) -> bool:
    """Whether passes over static buffers serve this device."""
    return device.type == "cuda" or _EVERYWHERE.get()


def why_eager(model: PreTrainedModel) -> str:
    """Why a model's passes are launched kernel by kernel where others' are replayed; empty where they are not."""
    if not runs_static(model.device):
        return ""
    refused = getattr(_PREPARED.get(model), "refusals", None)
    return reason_against(model) or (refused[0] if refused else "")


def reading_of(decoder: Decoder) -> tuple[int, int, Read]:
    """How long prompts are read: the rows of a block, the fewest that are read so, and what reads them."""
    from engine.runtime.cuda.decoder import StaticDecoder

    if isinstance(decoder, StaticDecoder):
        from engine.runtime.cuda import reading as static

        return static.ROWS, 1, static.read
    from engine.runtime.cpu import reading

    return reading.ROWS, reading.FEWEST_ROWS, reading.read


def _decoder_of(model: PreTrainedModel) -> Decoder | None:
    if runs_static(model.device):
        return _static(model)
    return _compiled(model) if runs_compiled(model.device) else None


def _static(model: PreTrainedModel) -> StaticDecoder | None:
    from engine.runtime.cuda.decoder import StaticDecoder

    return None if reason_against(model) else StaticDecoder(model)


def _compiled(model: PreTrainedModel) -> CompiledDecoder | None:
    """Its compiled pass; of a family that has none, products and experts are brought into their form for a CPU."""
    from engine.runtime.cpu.decoder import CompiledDecoder, supports
    from engine.runtime.cpu.experts import run_row_by_row

    if supports(model):
        return CompiledDecoder(model)
    pack_linears(model)
    run_row_by_row(model)
    return None
