"""Models whose rotary frequencies change when the text grows beyond a border: LongRoPE (arXiv 2402.13753).

Phi-3-128k, Phi-3.5 and Phi-4-mini have short factors for texts up to `original_max_position_embeddings` and
long ones for longer texts. transformers chooses for a whole pass, by its largest position, and its `generate`
reads everything anew when the text crosses the border. Here likewise: keys in the cache are all of one kind. A
text that is longer than the border is read with the long factors from its first block on; the pass whose root
is the first token behind the border reads everything before it anew; and no pass reaches across: draft trees are
cut there (`border`), in plain decoding and in any other at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.errors import RunFailed
from engine.runtime.families import family_of
from engine.runtime.passes import Found, Inputs, Pass, Span
from engine.runtime.runner import ModelRunner, Tell


def make_runner(
    model: PreTrainedModel, max_context: int, *, is_row_invariant: bool, is_eager: bool = False
) -> ModelRunner:
    """The runner that a model needs. Raises BadInput for a family that cannot be run."""
    border = border_of(model)
    if border is None or border >= max_context:
        return ModelRunner(model, max_context, is_row_invariant=is_row_invariant, is_eager=is_eager)
    return LongRopeRunner(model, max_context, border, is_row_invariant=is_row_invariant)


def border_of(model: PreTrainedModel) -> int | None:
    """Most tokens that are read with the short factors; None where there are no two kinds."""
    parameters = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    kinds = [parameters, *(kind for kind in parameters.values() if isinstance(kind, Mapping))]
    borders = [int(kind["original_max_position_embeddings"]) for kind in kinds if kind.get("rope_type") == "longrope"]
    return min(borders, default=None)


class LongRopeRunner(ModelRunner):
    """A runner that knows what it has read, to read it anew with the long factors."""

    border: int

    def __init__(self, model: PreTrainedModel, max_context: int, border: int, *, is_row_invariant: bool) -> None:
        self._rotaries = [m for m in model.modules() if type(m).__name__.endswith("RotaryEmbedding")]
        self._expected = 0
        self._is_long = False
        super().__init__(model, max_context, is_row_invariant=is_row_invariant)
        self.border = border

    def reset(self) -> None:
        super().reset()
        self._ids: list[int] = []
        self._pending_ids: list[int] = []

    def expect(self, num_tokens: int) -> None:
        self._expected = num_tokens

    def prefill(
        self, inputs: Inputs, hidden_layers: Sequence[int] = (), tell: Tell | None = None
    ) -> tuple[Tensor, ...] | None:
        self.expect(len(inputs) + 1)  # the root follows
        return super().prefill(inputs, hidden_layers, tell)

    def commit(self, rows: Sequence[int], layers: range | None = None) -> None:
        super().commit(rows, layers)
        if layers is None or 0 in layers:
            self._ids += [self._pending_ids[row] for row in rows]
            self._pending_ids = []

    def _before(self, inputs: Inputs, span: Span) -> None:
        if span.first == 0 and isinstance(inputs, Tensor):
            raise RunFailed(
                f"A {family_of(self.model)} model with LongRoPE is read anew from its token ids where the text crosses "
                "a border; it cannot begin with states."
            )
        self._choose_factors()
        if span.first == 0:
            self._pending_ids += inputs

    def _choose_factors(self) -> None:
        """Long ones where root or announced text lie behind the border; what is cached is then read anew with them."""
        self._expected = max(self._expected, self.num_committed + 1)
        is_long = self._expected > self.border
        if is_long == self._is_long:
            return
        self._is_long = is_long
        if self._ids:
            super().prefill(self._ids)

    @property
    def _last_position(self) -> int:
        return self.max_context - 1 if self._is_long else self.border - 1

    def _run(self, wanted: Pass) -> Found:
        if not self._is_long and max(wanted.positions[: wanted.num_real]) >= self.border:
            raise RunFailed(f"A pass reaches beyond the {self.border} tokens that the model's short factors are for.")
        is_near = wanted.num_committed < self.border  # else the pass's own positions choose the long factors
        with looking_far(self._rotaries, self.border) if self._is_long and is_near else nullcontext():
            return super()._run(wanted)


@contextmanager
def looking_far(rotaries: Sequence[nn.Module], position: int) -> Iterator[None]:
    """Let rotary embeddings see one position more, whose cosines and sines are dropped: they choose by the largest."""

    def add(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        positions = kwargs["position_ids"] if "position_ids" in kwargs else args[1]
        far = torch.cat((positions, positions.new_full((*positions.shape[:-1], 1), position)), dim=-1)
        return args[:1], {**kwargs, "position_ids": far}

    def drop(module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return output[0][..., :-1, :], output[1][..., :-1, :]

    handles = [rotary.register_forward_pre_hook(add, with_kwargs=True) for rotary in rotaries]
    handles += [rotary.register_forward_hook(drop) for rotary in rotaries]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
