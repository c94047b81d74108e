"""Checks of a loaded model, once, before its first session: a few passes over seven tokens.

A model is refused where its attention is not the engine's, where its scores are not finite, and where the
nodes of a small draft tree are scored otherwise than each node's path alone. So a family whose code ignores
positions, masks or the cache is never decoded in silence.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.errors import BadInput
from engine.runtime.attention import watched
from engine.runtime.families import family_of, refuse_attention

if TYPE_CHECKING:
    from engine.runtime.runner import ModelRunner

TOLERANCES = {torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.15}
"""How far a node's scores may lie from those of its path alone, relative to their own spread.

Rows that are computed alike differ by the rounding of other kernels; a wrong mask or position is a tenth of
the spread and more in a trained model, and in a random one."""
PARENTS = (-1, 0, 0, 2)
"""The tree: the root, two children of it, and a child of the second."""

_CHECKED: weakref.WeakSet[PreTrainedModel] = weakref.WeakSet()


def check(runner: ModelRunner, name: str) -> None:
    """Try a model that has not been tried yet; forgets what the runner held. Raises BadInput."""
    if runner.model in _CHECKED:
        return
    before, tokens = _ids(runner.model)
    with watched() as calls:
        found = _as_tree(runner, before, tokens)
    if runner.uses_transformers and not calls:
        raise refuse_attention(runner.model)
    alone = _alone(runner, before, tokens)
    runner.reset()
    if not bool(torch.isfinite(torch.cat((found, alone)).amax(dim=1)).all()):
        raise BadInput(
            f"The model {name} scores tokens with numbers that are not finite in {_dtype(runner)}; "
            "choose another dtype, or fetch its weights again."
        )
    if (error := deviation(found, alone)) > TOLERANCES.get(runner.model.dtype, max(TOLERANCES.values())):
        raise BadInput(
            f"The model {name} scores a draft tree otherwise than the same tokens alone (off by {error:.2g} of the "
            f"scores' spread in {_dtype(runner)}): the {family_of(runner.model)} family cannot be run by this engine."
        )
    _CHECKED.add(runner.model)


def deviation(found: Tensor, wanted: Tensor) -> float:
    """The largest difference of two rows of scores (m, v) from each other, in units of the wanted row's spread."""
    finite = torch.isfinite(wanted).all(dim=0) & torch.isfinite(found).all(dim=0)
    found, wanted = found[:, finite].float(), wanted[:, finite].float()
    spread = wanted.std(dim=1, correction=0).clamp_min(torch.finfo(torch.float32).tiny)
    rms = (found - wanted).square().mean(dim=1).sqrt()
    return float((rms / spread).max())


def _ids(model: PreTrainedModel) -> tuple[list[int], list[int]]:
    """Context and tree: different tokens, spread over the vocabulary."""
    size = int(model.config.get_text_config().vocab_size)
    ids = [size * (2 * i + 1) // 14 for i in range(7)]
    return ids[:3], ids[3:]


def _as_tree(runner: ModelRunner, before: list[int], tokens: list[int]) -> Tensor:
    runner.prefill(before)
    return runner.extend(tokens, PARENTS).logits.clone()


def _alone(runner: ModelRunner, before: list[int], tokens: list[int]) -> Tensor:
    """The same scores from passes of one row each, which sees all that is there: no mask can be wrong."""
    root, first, second, third = tokens
    runner.prefill([])
    for token in before:
        _read(runner, token)
    found = [_read(runner, root)]
    found.append(runner.extend([first], [-1]).logits.clone())
    runner.commit(())  # the second is its sibling
    found += [_read(runner, second), _read(runner, third)]
    return torch.cat(found)


def _read(runner: ModelRunner, token: int) -> Tensor:
    logits = runner.extend([token], [-1]).logits.clone()
    runner.commit([0])
    return logits


def _dtype(runner: ModelRunner) -> str:
    return str(runner.model.dtype).removeprefix("torch.")
