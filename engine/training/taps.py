"""A frozen target's states of several layers on packed rows, as drafters read them.

The last states are kept on disk (activations.py) and given; for the others the target's first layers are run, no
further than needed: once for rows on disk, which is as dear as a drafter's own pass. Knows rows and layers; no drafter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel

from engine.runtime.extra import decoder_layers
from engine.training import activations

ROWS_AT_ONCE = 4


class _Ended(Exception):
    """Leaves a forward where all that is asked for is there."""


def tapped(
    target: PreTrainedModel | None, layers: Sequence[int], ids: Tensor, hidden: Tensor, texts: Tensor | None = None
) -> Tensor:
    """States of several layers, the last of which are `hidden (b, t, d)`, side by side: (b, t, n · d).

    `hidden` may be all of them (`stored`), and is given back then. `ids (b, t + 1)`; `layers` are indices into
    transformers' hidden_states, ascending; with `texts (b, t)` no place looks into another text. Without a target all
    are the last.
    """
    if target is not None and hidden.shape[2] > int(target.config.get_text_config().hidden_size):
        return hidden
    if len(layers) == 1 or target is None:
        return hidden.repeat(1, 1, len(layers))
    apart = {} if texts is None else _apart(texts, target.dtype)
    with torch.no_grad(), _entering(decoder_layers(target), layers[:-1]) as states, suppress(_Ended):
        target.base_model(input_ids=ids[:, :-1], use_cache=False, **apart)
    return torch.cat([*(states[layer].to(hidden.dtype) for layer in layers[:-1]), hidden], dim=-1)


def stored(target: PreTrainedModel, layers: Sequence[int], folder: Path) -> Path:
    """A folder beside `folder` of the same rows with these layers' states side by side, (n, t, layers · d).

    What is there is kept. Raises BadInput where the disk is too small.
    """
    found = folder.with_name(f"{folder.name}-{'-'.join(map(str, layers))}")
    missing = [path for path in sorted(folder.glob("*.safetensors")) if not (found / path.name).is_file()]
    activations.refuse_large(found, len(layers) * sum(path.stat().st_size for path in missing))
    for path in tqdm(missing, desc="states of several layers", unit="shard", disable=not missing):
        ids, hidden = activations.load(path)
        parts = zip(ids.split(ROWS_AT_ONCE), hidden.split(ROWS_AT_ONCE), strict=True)
        activations.keep(found, int(path.stem), ids, torch.cat([of_rows(target, layers, *part) for part in parts]))
    return found


def of_rows(target: PreTrainedModel, layers: Sequence[int], ids: Tensor, hidden: Tensor) -> Tensor:
    """`tapped` of packed rows as they are kept, padding below zero, each text by itself."""
    states = hidden.to(target.device)
    return tapped(target, layers, ids.clamp(min=0).to(target.device), states, documents(states)).cpu()


def documents(hidden: Tensor) -> Tensor:
    """The number of the text that each place of packed rows is of, (b, t): behind a last token there is no state.

    `hidden (b, t, d)` as `packing.rows_with_states` leaves it.
    """
    ends = (hidden == 0).all(dim=-1).long()
    return ends.cumsum(dim=1) - ends


def _apart(texts: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """What transformers takes for packed rows: what is added to scores, (b, 1, t, t), and positions, (b, t)."""
    sees = (texts[:, :, None] == texts[:, None, :]).tril()
    added = torch.zeros(sees.shape, dtype=dtype, device=texts.device).masked_fill_(~sees, torch.finfo(dtype).min)
    return {"attention_mask": added[:, None], "position_ids": sees.long().sum(dim=2) - 1}


@contextmanager
def _entering(layers: nn.ModuleList, wanted: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """What enters these layers in a forward, which is left at the last of them."""
    found: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            found[layer] = args[0]
            if layer == wanted[-1]:
                raise _Ended

        return hook

    hooks = [layers[layer].register_forward_pre_hook(keep(layer)) for layer in wanted]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
