"""A pass through transformers' own forward: masks and positions as it takes them, and hooks where it goes another way.

Any family whose decoder is a list of layers, each from states to states, can be cut: a layer that is left out hands on
what it is given, states are put in before the first layer and taken behind the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.errors import RunFailed
from engine.runtime.cache import KVCache
from engine.runtime.extra import decoder_layers, riding
from engine.runtime.families import family_of
from engine.runtime.passes import Found, Pass

_LAST = -1
"""Where the states behind the last layer of a pass are found."""


class _Ended(Exception):
    """Leaves a forward behind the last layer that is asked for."""


def forward(
    model: PreTrainedModel,
    device: torch.device,
    wanted: Pass,
    cache: KVCache,
    last_position: int,
    sliding_window: int | None,
) -> Found:
    """One pass; keys and values go to the cache's columns from `wanted.column` on.

    An extra row may look beyond `last_position`, where a learnt position does not exist: it stands there.
    """
    cache.write_from(wanted.column, wanted.span.layers)
    places = np.minimum(wanted.positions, last_position)
    masks = {kind: torch.from_numpy(mask).to(device) for kind, mask in _masks(wanted, places, sliding_window)}
    output: Any = None
    extra = riding(model, wanted.layout, list(masks.values()), wanted.column)
    with _hooked(model, wanted) as seen, extra, suppress(_Ended):
        output = model(
            input_ids=_ids(wanted, device),
            position_ids=torch.from_numpy(places).to(device)[None],
            attention_mask=masks if len(masks) > 1 else masks["full_attention"],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=_kept(wanted, device),
        )
    hidden = tuple(seen[layer] for layer in wanted.hidden_layers)
    if wanted.is_scored:
        return Found(output.logits[0], hidden, None)
    none = torch.empty(0, model.config.get_text_config().vocab_size, dtype=model.dtype, device=device)
    return Found(none, hidden, seen[_LAST][: wanted.num_real])


def _ids(wanted: Pass, device: torch.device) -> Tensor:
    """Token ids (1, rows) of all rows; 0 for those that enter as states."""
    ids = [] if isinstance(wanted.inputs, Tensor) else wanted.inputs
    return torch.tensor([[*ids, *[0] * (len(wanted.positions) - len(ids))]], device=device)


def _kept(wanted: Pass, device: torch.device) -> int | Tensor:
    """The scored rows in transformers' words."""
    if wanted.layout is not None:  # with extra rows behind them, those asked for are not the last ones
        return torch.arange(wanted.scored.start, wanted.scored.stop, device=device)
    return max(1, int(wanted.scored.stop - wanted.scored.start))  # 0 would be all of them


def _masks(wanted: Pass, places: Any, sliding_window: int | None) -> Iterator[tuple[str, Any]]:
    """Who may look at whom by kind of layer, (1, 1, rows, columns)."""
    num_before = wanted.num_committed
    looks = np.ones((len(wanted.mask), num_before + wanted.mask.shape[1]), np.bool_)
    looks[:, num_before:] = wanted.mask
    yield "full_attention", looks[None, None]
    if sliding_window is not None:
        columns = np.concatenate((np.arange(num_before), np.asarray(wanted.waiting, np.int64), places))
        yield "sliding_attention", (looks & (places[:, None] - columns < sliding_window))[None, None]


@contextmanager
def _hooked(model: PreTrainedModel, wanted: Pass) -> Iterator[dict[int, Tensor]]:
    """Let a forward take the way that is wanted; what it is to give comes by layer as it goes."""
    span, seen = wanted.span, dict[int, Tensor]()
    if wanted.is_whole and wanted.is_scored and not wanted.hidden_layers:
        yield seen
        return
    layers = decoder_layers(model)

    def keep(layer: int) -> Callable[..., None]:
        return lambda module, args, *rest: seen.__setitem__(layer, args[0][0])

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        if (span.first > 0 or span.skip) and not isinstance(output, Tensor):
            raise RunFailed(f"A {family_of(model)} model cannot be cut into layers: they give more than states.")
        seen[_LAST] = output[0] if isinstance(output, Tensor) else output[0][0]
        if span.end < span.num_layers:
            seen[span.end] = seen[_LAST]
        if not wanted.is_normed:
            raise _Ended

    def finish(module: nn.Module, args: Any, output: Any) -> None:
        seen[span.num_layers] = output[0][0]

    with ExitStack() as undo:
        for layer in (*range(span.first), *span.skip):
            undo.enter_context(_left_out(layers[layer]))
        hooks = []
        if isinstance(wanted.inputs, Tensor):
            entrance = layers[min(span.first, span.num_layers - 1)]
            hooks.append(entrance.register_forward_pre_hook(_entering(wanted.inputs)))
        hooks += [layers[i].register_forward_pre_hook(keep(i)) for i in wanted.hidden_layers if i < span.end]
        hooks.append(layers[span.end - 1].register_forward_hook(leave))
        hooks.append(cast(nn.Module, model.get_decoder()).register_forward_hook(finish))
        for hook in hooks:
            undo.callback(hook.remove)
        yield seen


def _entering(states: Tensor) -> Callable[..., Any]:
    """A hook that puts states (m, h) in place of the first rows' own."""

    def enter(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0].clone()
        hidden[0, : len(states)] = states
        return hidden, *args[1:]

    return enter


@contextmanager
def _left_out(layer: nn.Module) -> Iterator[None]:
    """A layer that hands on what it is given."""
    own: Any = layer.__dict__.get("forward")
    layer.forward = lambda hidden, *args, **kwargs: hidden
    try:
        yield
    finally:
        del layer.forward
        if own is not None:
            layer.forward = own
