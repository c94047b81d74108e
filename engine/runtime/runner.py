"""Runs a Hugging Face causal LM over a cached context and a tree of pending rows.

The one file that builds masks and positions and calls a model's forward. Target and draft model
both stand on it. Knows rows, parents and a KV cache; knows nothing of drafts, verdicts or events.

Row invariance: on a CPU a row's logits are the same bits whether it is scored alone or among others. Llama-shaped
models run compiled (cpu/); the others through transformers' forward, with compiled products and attention_kernel.py's
attention, and `is_row_invariant` says whether that holds for all of their parts.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.errors import ContextFull, RunFailed
from engine.runtime.attention import FUSED, ROW_INVARIANT
from engine.runtime.cache import KVCache
from engine.runtime.compiled import runs_compiled
from engine.runtime.extra import ExtraRows, Foreseen, Layout, Mask, riding
from engine.runtime.families import install_attention, refuse_unsupported
from engine.runtime.linear import are_row_invariant, pack_linears
from engine.runtime.prompt import many_rows

if TYPE_CHECKING:
    from engine.runtime.cpu.decoder import CompiledDecoder
    from engine.runtime.cpu.kv import CompiledCache

PREFILL_ROWS = 256
MAX_PENDING = 512
Tell = Callable[[Tensor], None]
"""Is told logits (m, v)."""
Reader = Callable[[Sequence[int], Sequence[int], Tell | None], tuple[Tensor, ...] | None]


@dataclass(frozen=True)
class Rows:
    """What a pass gives for its m rows."""

    logits: Tensor
    """(m, v) in the model's dtype."""
    hidden: tuple[Tensor, ...] | None
    """Per asked-for layer (m, h), where hidden states were asked for."""
    extra: Foreseen | None = None
    """Where the extra rows end up, if there were any."""


class ModelRunner:
    """A model with its own KV cache: `extend` adds pending rows, `commit` keeps some of them."""

    border: int | None = None
    """Tokens of context that no pass may begin within and reach beyond; see longrope.py."""

    def __init__(self, model: PreTrainedModel, max_context: int, *, is_row_invariant: bool) -> None:
        refuse_unsupported(model)
        self.model = model
        self.max_context = max_context
        self.device = model.device
        self.sliding_window = sliding_window(model)
        self._decoder = prepare(model)
        self._cache: CompiledCache | KVCache
        if self._decoder is not None:
            self._cache, self.is_row_invariant = self._decoder.new_cache(), True
        else:
            install_attention(model, ROW_INVARIANT if is_row_invariant else FUSED)
            num_layers = model.config.get_text_config().num_hidden_layers
            self._cache = KVCache(num_layers, is_for_kernel=is_row_invariant)
            self.is_row_invariant = is_row_invariant and are_row_invariant(model)
        # In numpy: a few rows are a few assignments, and torch's take ten times as long.
        self._ancestors = np.zeros((MAX_PENDING, MAX_PENDING), dtype=np.bool_)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._cache.length = 0
        self.num_committed = 0
        self._depths: list[int] = []

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
    def _last_position(self) -> int:
        """The last place that a row may stand at."""
        return self.max_context - 1

    def expect(self, num_tokens: int) -> None:
        """Say how long the text is, root included, that the next passes read in blocks; see longrope.py."""

    @property
    def num_pending(self) -> int:
        """Rows that wait for `commit`."""
        return len(self._depths)

    @torch.inference_mode()
    def prefill(
        self, token_ids: Sequence[int], hidden_layers: Sequence[int] = (), tell: Tell | None = None
    ) -> tuple[Tensor, ...] | None:
        """Commit tokens from an empty cache, in blocks of fixed size.

        Returns the asked-for layers' hidden states (t, h), or None where no layer was asked for. `tell` is given the
        logits (m, v) of at most `PREFILL_ROWS` tokens at a time, in their order; without it none are made.
        """
        if len(token_ids) > self.max_context:
            raise ContextFull(len(token_ids), self.max_context)
        self.reset()
        found: list[tuple[Tensor, ...]] = []
        size, read = self._reader()
        for start in range(0, len(token_ids), size):
            hidden = read(token_ids[start : start + size], hidden_layers, tell)
            if hidden is not None:
                found.append(hidden)
        return tuple(torch.cat(layer) for layer in zip(*found, strict=True)) if found else None

    def _reader(self) -> tuple[int, Reader]:
        """Tokens of a prompt's block, and what commits one; which way it goes depends on its size alone."""
        decoder = self._decoder
        if decoder is None:
            return PREFILL_ROWS, self._read
        from engine.runtime.cpu import reading

        def read(block: Sequence[int], hidden_layers: Sequence[int], tell: Tell | None) -> tuple[Tensor, ...] | None:
            if len(block) < reading.FEWEST_ROWS:
                return self._read(block, hidden_layers, tell)
            cache = cast("CompiledCache", self._cache)
            layers = hidden_layers if tell is None else (*hidden_layers, -1)
            hidden = reading.read(decoder, block, self.num_committed, cache, layers)
            self.num_committed += len(block)
            if tell is None or hidden is None:
                return hidden
            with many_rows():
                for states in hidden[-1].split(PREFILL_ROWS):
                    tell(self.output_layer(states))
            return hidden[:-1] or None

        return reading.ROWS, read

    def _read(self, block: Sequence[int], hidden_layers: Sequence[int], tell: Tell | None) -> tuple[Tensor, ...] | None:
        num_logits = 1 if tell is None else len(block)
        with many_rows() if self._decoder is None else nullcontext():
            rows = self.extend(block, range(-1, len(block) - 1), hidden_layers=hidden_layers, num_logits=num_logits)
        self.commit(range(len(block)))
        if tell is not None:
            tell(rows.logits)
        return rows.hidden

    @torch.inference_mode()
    def extend(
        self,
        token_ids: Sequence[int],
        parents: Sequence[int],
        *,
        hidden_layers: Sequence[int] = (),
        num_logits: int | None = None,
        extra: ExtraRows | None = None,
    ) -> Rows:
        """One forward pass over m new pending rows.

        `parents[i]` is the pending row, numbered from the first since the last commit, that row i
        follows; -1 follows the last committed token. Siblings share a position. `num_logits` keeps
        the logits of the last rows only. `extra` rows, whose owners are numbered among these m, are
        gone when the pass is over.
        """
        num_rows, first = len(token_ids), self.num_pending
        layout = extra.layout(num_rows) if extra else None
        num_all = num_rows if layout is None else layout.num_rows
        if first + num_all > MAX_PENDING:
            raise RunFailed(f"{first + num_all} rows wait for a verdict; at most {MAX_PENDING} can.")
        self._add_pending(parents)
        depths = self._depths[first:]
        if layout is not None:
            depths = depths + layout.depths(depths)
        positions = [self.num_committed + depth - 1 for depth in depths]
        mask = self._mask(first, num_rows, num_all, layout)
        self._cache.length = self.num_committed + first
        scored = slice(0 if num_logits is None else num_rows - num_logits, num_rows)
        layers = hidden_layers if layout is None else (*hidden_layers, -1)
        logits, hidden = self._forward(token_ids, positions, mask, layers, scored, layout)
        self._cache.length = self.num_committed + self.num_pending
        return self._rows(logits, hidden, num_rows, layout)

    def _rows(self, logits: Tensor, hidden: tuple[Tensor, ...] | None, num_rows: int, layout: Layout | None) -> Rows:
        """Sorts a pass's results: extra rows are apart; `hidden` ends with what they end up in."""
        foreseen = None
        if layout is not None and hidden is not None:
            foreseen = Foreseen(hidden[-1][layout.num_real :], layout.places)
            hidden = hidden[:-1] or None
        return Rows(logits, hidden and tuple(layer[:num_rows] for layer in hidden), foreseen)

    def _forward(
        self,
        token_ids: Sequence[int],
        positions: Sequence[int],
        mask: Mask,
        hidden_layers: Sequence[int],
        scored: slice,
        layout: Layout | None,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Logits of the `scored` rows and hidden states of all, extra rows among them."""
        if self._decoder is None:
            return self._transformers_forward(token_ids, positions, mask, hidden_layers, scored, layout)
        cache = cast("CompiledCache", self._cache)
        return self._decoder.forward(
            token_ids, positions, mask, self.num_committed, cache, hidden_layers, scored, layout
        )

    def _transformers_forward(
        self,
        token_ids: Sequence[int],
        places: Sequence[int],
        mask: Mask,
        hidden_layers: Sequence[int],
        scored: slice,
        layout: Layout | None,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        num_rows = len(places)
        ids = torch.tensor([*token_ids, *[0] * (num_rows - len(token_ids))], device=self.device)
        # An extra row may look beyond the context, where a learnt position does not exist.
        positions = torch.tensor(places, device=self.device).clamp_(max=self._last_position)
        looks = torch.from_numpy(np.pad(mask, ((0, 0), (self.num_committed, 0)), constant_values=True)).to(self.device)
        masks = {"full_attention": looks[None, None]}
        if self.sliding_window is not None:
            masks["sliding_attention"] = masks["full_attention"] & self._is_in_window(positions, looks.shape[1])
        kept: int | Tensor = scored.stop - scored.start
        if layout is not None:  # with extra rows behind them, those asked for are not the last ones
            kept = torch.arange(scored.start, scored.stop, device=self.device)
        with riding(self.model, layout, list(masks.values()), self._cache.length):
            output = self.model(
                input_ids=ids[None],
                position_ids=positions[None],
                attention_mask=masks if len(masks) > 1 else masks["full_attention"],
                past_key_values=self._cache,
                use_cache=True,
                output_hidden_states=bool(hidden_layers),
                logits_to_keep=kept,
            )
        hidden = tuple(output.hidden_states[i][0] for i in hidden_layers) if hidden_layers else None
        return output.logits[0], hidden

    @torch.inference_mode()
    def commit(self, rows: Sequence[int]) -> None:
        """Keep pending rows (ascending, a path from the last committed token); drop the others."""
        self._cache.keep(self.num_committed, [self.num_committed + row for row in rows])
        self.num_committed += len(rows)
        self._depths = []

    def kv(self, layer: int) -> tuple[Tensor, Tensor]:
        """Committed keys and values of a layer, (heads, t, d): for tests and inspection."""
        if not isinstance(self._cache, KVCache):
            return self._cache.read(layer, self.num_committed)
        entry = self._cache.kv_layers[layer]
        return entry.keys[0, :, : self.num_committed], entry.values[0, :, : self.num_committed]

    def _add_pending(self, parents: Sequence[int]) -> None:
        for parent in parents:
            row = self.num_pending
            if parent >= row:
                raise RunFailed(f"Row {row} follows row {parent}, which does not stand before it.")
            self._ancestors[row] = self._ancestors[parent] if parent >= 0 else False
            self._ancestors[row, row] = True
            self._depths.append(1 if parent < 0 else self._depths[parent] + 1)

    def _mask(self, first: int, num_rows: int, num_all: int, layout: Layout | None) -> Mask:
        """Who may look at whom behind the committed columns: (rows, first + rows), extra rows the last of them."""
        end = first + num_rows
        mask = np.zeros((num_all, first + num_all), dtype=np.bool_)
        mask[:num_rows, :end] = self._ancestors[first:end, :end]
        if layout is not None:
            layout.fill(mask, first)
        return mask

    def _is_in_window(self, positions: Tensor, num_columns: int) -> Tensor:
        assert self.sliding_window is not None
        columns = torch.arange(num_columns, device=self.device)
        num_before = num_columns - len(positions)
        waiting = self._depths[: num_before - self.num_committed]
        columns[self.num_committed : num_before] = torch.tensor(waiting, device=self.device) + (self.num_committed - 1)
        columns[num_before:] = positions
        return (positions[:, None] - columns[None, :] < self.sliding_window)[None, None]


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


def sliding_window(model: PreTrainedModel) -> int | None:
    """The window of a model that mixes full and sliding layers, else None.

    A model whose every layer slides is run with a context no longer than its window (models.py).
    """
    config = model.config.get_text_config()
    types = getattr(config, "layer_types", None) or []
    return config.sliding_window if "sliding_attention" in types and "full_attention" in types else None
