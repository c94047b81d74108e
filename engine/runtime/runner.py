"""Runs a Hugging Face causal LM over a cached context and a tree of pending rows.

Target, draft model and trained drafters' layers stand on it. A pass goes through all layers, or some: it may begin with
states, end before the last layer, and leave layers out; each layer keeps what went through it. What runs is our own
pass of Llama-shaped models, compiled on a CPU (cpu/) and over static buffers on a GPU (cuda/), or transformers' forward
(hooked_pass.py); who may look at whom, and where rows stand, waiting.py knows. Knows no drafts, verdicts or events.

Row invariance: on a CPU a row's logits are the same bits whether it is scored alone or among others. Other families'
forward has compiled products and attention_kernel.py's attention, and `is_row_invariant` says whether that holds for
all of their parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.errors import ContextFull, RunFailed
from engine.runtime import hooked_pass
from engine.runtime.attention import FUSED, ROW_INVARIANT
from engine.runtime.cache import KVCache
from engine.runtime.extra import ExtraRows, Foreseen, Layout
from engine.runtime.families import install_attention, refuse_unsupported, sliding_window
from engine.runtime.linear import are_row_invariant
from engine.runtime.passes import Found, Inputs, Pass, Rows, Span
from engine.runtime.prepared import prepare, reading_of, why_eager
from engine.runtime.prompt import many_rows
from engine.runtime.waiting import WaitingByLayer

PREFILL_ROWS = 256
Tell = Callable[[Tensor], None]
"""Is told logits (m, v)."""
Reader = Callable[[Inputs, Sequence[int], Tell | None], tuple[Tensor, ...] | None]


class ModelRunner:
    """A model with its own KV cache: `extend` adds pending rows, `commit` keeps some of them."""

    border: int | None = None
    """Tokens of context that no pass may begin within and reach beyond; see longrope.py."""

    def __init__(
        self, model: PreTrainedModel, max_context: int, *, is_row_invariant: bool, is_eager: bool = False
    ) -> None:
        """`is_eager`: through transformers' forward, kernel by kernel, though there is a pass of our own."""
        refuse_unsupported(model)
        self.model = model
        self.max_context = max_context
        self.device = model.device
        self.num_layers = int(model.config.get_text_config().num_hidden_layers)
        self.sliding_window = sliding_window(model)
        self._decoder = None if is_eager else prepare(model)
        self._cache: Any
        if self._decoder is not None:
            self._cache, self.is_row_invariant = self._decoder.new_cache(), self._decoder.is_row_invariant
        else:
            install_attention(model, ROW_INVARIANT if is_row_invariant else FUSED)
            self._cache = KVCache(self.num_layers, is_for_kernel=is_row_invariant)
            self.is_row_invariant = is_row_invariant and are_row_invariant(model)
        self._whole = Span(0, self.num_layers, frozenset(), self.num_layers)
        self._waiting = WaitingByLayer(self.num_layers)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._waiting.reset()

    @property
    def holds(self) -> tuple[object, object]:
        """What its weights are in, and its KV cache."""
        return (self.model, self._decoder), self._cache

    @property
    def output_layer(self) -> nn.Module:
        """What scores the last hidden states, in the form that it runs in here: (…, h) → (…, v)."""
        if self._decoder is not None:
            return self._decoder.head
        return cast(nn.Module, self.model.get_output_embeddings())

    @property
    def uses_transformers(self) -> bool:
        """Whether passes go through transformers' own forward."""
        return self._decoder is None

    @property
    def why_eager(self) -> str:
        """Why passes are launched kernel by kernel where others' are replayed, to follow "because"; else empty."""
        return why_eager(self.model)

    @property
    def _last_position(self) -> int:
        """The last place that a row may stand at."""
        return self.max_context - 1

    def expect(self, num_tokens: int) -> None:
        """Say how long the text is, root included, that the next passes read in blocks; see longrope.py."""

    @property
    def num_committed(self) -> int:
        """Tokens that every layer keeps."""
        return min(waiting.num_committed for waiting in self._waiting)

    @property
    def num_pending(self) -> int:
        """Rows that wait for `commit`, in the layers where most do."""
        return max(len(waiting) for waiting in self._waiting)

    def lengths(self, layer: int) -> tuple[int, int]:
        """Tokens that a layer keeps, and rows of it that wait."""
        return self._waiting[layer].num_committed, len(self._waiting[layer])

    @torch.inference_mode()
    def prefill(
        self, inputs: Inputs, hidden_layers: Sequence[int] = (), tell: Tell | None = None
    ) -> tuple[Tensor, ...] | None:
        """Commit tokens, or states (t, h) before layer 0, from an empty cache, in blocks of fixed size.

        Returns the asked-for layers' hidden states (t, h), or None where no layer was asked for. `tell` is given the
        logits (m, v) of at most `PREFILL_ROWS` tokens at a time, in their order; without it none are made.
        """
        if len(inputs) > self.max_context:
            raise ContextFull(len(inputs), self.max_context)
        self.reset()
        found: list[tuple[Tensor, ...]] = []
        size, read = self._reader()
        for start in range(0, len(inputs), size):
            hidden = read(inputs[start : start + size], hidden_layers, tell)
            if hidden is not None:
                found.append(hidden)
        return tuple(torch.cat(layer) for layer in zip(*found, strict=True)) if found else None

    def _reader(self) -> tuple[int, Reader]:
        """Rows of a prompt's block, and what commits one; which way it goes depends on its size alone."""
        decoder = self._decoder
        if decoder is None:
            return PREFILL_ROWS, self._read
        most_rows, fewest_rows, read_many = reading_of(decoder)

        def read(block: Inputs, hidden_layers: Sequence[int], tell: Tell | None) -> tuple[Tensor, ...] | None:
            if len(block) < fewest_rows:
                return self._read(block, hidden_layers, tell)
            layers = hidden_layers if tell is None else (*hidden_layers, -1)
            hidden = read_many(decoder, block, self.num_committed, self._cache, layers)
            self._waiting[0].keep(range(len(block)))
            if tell is None or hidden is None:
                return hidden
            with many_rows():
                for states in hidden[-1].split(PREFILL_ROWS):
                    tell(self.output_layer(states))
            return hidden[:-1] or None

        return most_rows, read

    def _read(self, block: Inputs, hidden_layers: Sequence[int], tell: Tell | None) -> tuple[Tensor, ...] | None:
        num_logits = 0 if tell is None else len(block)
        with many_rows() if self._decoder is None else nullcontext():
            rows = self.extend(block, range(-1, len(block) - 1), hidden_layers=hidden_layers, num_logits=num_logits)
        self.commit(range(len(block)))
        if tell is not None:
            tell(rows.logits)
        return rows.hidden

    @torch.inference_mode()
    def extend(
        self,
        inputs: Inputs,
        parents: Sequence[int],
        *,
        layers: range | None = None,
        skip: Set[int] = frozenset(),
        hidden_layers: Sequence[int] = (),
        num_logits: int | None = None,
        extra: ExtraRows | None = None,
        is_block: bool = False,
    ) -> Rows:
        """One forward pass over m new pending rows.

        `inputs` are token ids, or states (m, h) as they enter the first layer. `parents[i]` is the pending row,
        numbered from the first since the last commit of these layers, that row i follows; -1 follows the last committed
        token. Siblings share a position. `layers`, all by default, are gone through but for those of `skip`; what they
        give is `Rows.states` where the pass ends before the last layer, or `num_logits` is 0. `num_logits` keeps the
        logits of the last rows only. `extra` rows, whose owners are numbered among these m, are gone when the pass
        is over. The rows of a block, such as masks, see one another, whatever follows what. Raises RunFailed where the
        layers do not hold the same rows, or cannot be gone through so.
        """
        span, num_rows = self._span(layers, skip), len(inputs)
        layout = extra.layout(num_rows) if extra else None
        asked = [layer % (self.num_layers + 1) for layer in hidden_layers]
        if span is not self._whole:
            refuse_outside(span, asked, layout, has_ids=not isinstance(inputs, Tensor))
        self._before(inputs, span)
        waiting = self._waiting.shared(span.layers)
        first, before = len(waiting), waiting.positions()
        waiting.add(parents, 0 if layout is None else layout.num_rows - num_rows, is_block=is_block)
        num_scored = num_rows if num_logits is None else num_logits
        found = self._run(
            Pass(
                inputs=inputs,
                span=span,
                positions=waiting.positions(first, layout),
                waiting=before,
                mask=waiting.mask(first, layout),
                num_committed=waiting.num_committed,
                scored=slice(num_rows - num_scored if span.end == self.num_layers else num_rows, num_rows),
                hidden_layers=asked if layout is None else (*asked, self.num_layers),
                layout=layout,
            )
        )
        return rows_of(found, num_rows, layout)

    @torch.inference_mode()
    def scores(self, states: Tensor) -> Tensor:
        """What final norm and output layer make of states (m, h) behind any layer: logits (m, v)."""
        num_rows, end = len(states), self.num_layers
        return self._run(
            Pass(
                inputs=states,
                span=Span(end, end, frozenset(), end),
                positions=[0] * num_rows,
                waiting=(),
                mask=np.zeros((num_rows, num_rows), np.bool_),
                num_committed=0,
                scored=slice(0, num_rows),
                hidden_layers=(),
            )
        ).logits

    def _span(self, layers: range | None, skip: Set[int]) -> Span:
        """The layers of a pass. Raises RunFailed where there is none."""
        if layers is None and not skip:
            return self._whole
        wanted = range(self.num_layers) if layers is None else layers
        span = Span(wanted.start, wanted.stop, frozenset(skip).intersection(wanted), self.num_layers)
        if not 0 <= span.first < span.end <= self.num_layers or wanted.step != 1 or not span.layers:
            raise RunFailed(
                f"A pass through layers {wanted.start} to {wanted.stop - 1} without {sorted(skip)} goes through none "
                f"of this model's, or beyond them; it has layers 0 to {self.num_layers - 1}."
            )
        return span

    def _before(self, inputs: Inputs, span: Span) -> None:
        """A pass is about to begin; see longrope.py."""

    def _run(self, wanted: Pass) -> Found:
        if self._decoder is not None:
            return self._decoder.forward(wanted, self._cache)
        how = self._last_position, self.sliding_window
        return hooked_pass.forward(self.model, self.device, wanted, self._cache, *how)

    @torch.inference_mode()
    def commit(self, rows: Sequence[int], layers: range | None = None) -> None:
        """Keep pending rows (ascending, a path from the last committed token) of all layers, or some; drop the others.

        Raises RunFailed where a layer does not hold them all.
        """
        for waiting, own in self._waiting.groups(self._whole.layers if layers is None else layers):
            if rows and rows[-1] >= len(waiting):
                raise RunFailed(f"Row {rows[-1]} cannot be kept: {len(waiting)} rows wait in layer {own[0]}.")
            first = waiting.num_committed
            self._cache.keep(first, [first + row for row in rows], own)
            waiting.keep(rows)
        self._waiting.unite()

    def kv(self, layer: int) -> tuple[Tensor, Tensor]:
        """Committed keys and values of a layer, (heads, t, d): for tests and inspection."""
        found: tuple[Tensor, Tensor] = self._cache.read(layer, self._waiting[layer].num_committed)
        return found


def refuse_outside(span: Span, hidden_layers: Sequence[int], layout: Layout | None, *, has_ids: bool) -> None:
    """Raises RunFailed where a pass through some layers is given or asked for what only others take or give."""
    if has_ids and span.first > 0:
        raise RunFailed(f"Token ids enter before layer 0; a pass that begins at layer {span.first} takes states.")
    if strange := [layer for layer in hidden_layers if not span.first <= layer <= span.end]:
        raise RunFailed(
            f"A pass through layers {span.first} to {span.end - 1} does not see states before {strange[0]}."
        )
    if layout is not None and (span.end < span.num_layers or min(layout.groups) < span.first):
        raise RunFailed(f"Extra rows of layer {min(layout.groups)} and a pass that begins behind it, or ends early.")


def rows_of(found: Found, num_rows: int, layout: Layout | None) -> Rows:
    """Sorts a pass's results: extra rows are apart; `hidden` ends with what they end up in."""
    foreseen, hidden = None, found.hidden
    if layout is not None:
        foreseen = Foreseen(hidden[-1][layout.num_real :], layout.places)
        hidden = hidden[:-1]
    return Rows(found.logits, tuple(layer[:num_rows] for layer in hidden) or None, foreseen, found.states)
