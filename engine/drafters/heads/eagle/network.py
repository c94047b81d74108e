"""EAGLE's layer on draft trees: states and tokens in, states and scores out, and the cache of a session.

The arithmetic of the released code and of vLLM's `speculators`, by the flags of form.py. A row is a slot of the text:
the state behind token p with the embedding of token p + 1, and it foresees token p + 2. EAGLE-1's `fc` reads embedding
and state, and its layer has no norm before attention; EAGLE-3's `fc` fuses states of several layers once, and
attention reads the normed embedding and the normed state side by side. A drafted slot's state is what the slot before
it gave. Knows rows, columns and tokens; knows nothing of trees, options or verdicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.drafters.heads import _borrowed
from engine.drafters.heads._candidates import Candidates, Looks, Tokens, likeliest
from engine.drafters.heads._layers import is_compiled, is_played, linear, normed, player, rooms, rotated
from engine.drafters.heads._weights import Weights
from engine.drafters.heads.eagle.form import read_form
from engine.errors import BadInput
from engine.runtime import crossings
from engine.runtime.attention import attend_fused

if TYPE_CHECKING:
    from engine.models import LoadedModel

LAYER = "layers.0"
Turns = tuple[Tensor, Tensor]
"""Cosines and sines (m, 1, e ÷ 2) of places."""
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys and values (m, heads, e) of rows, turned → (m, heads, e); keeps keys and values."""
MOST_ROWS = 256
"""Rows of the text that go through the layer at once."""


class EagleNetwork:
    """The weights in the form in which they run for one target. Shared by sessions; read-only."""

    def __init__(self, weights: Weights, loaded: LoadedModel) -> None:
        """Raises BadInput where tensors fit neither config nor target."""
        self.form = form = read_form(weights, loaded.num_layers)
        self.dtype, self.device = loaded.dtype, loaded.device
        self.num_tokens = loaded.model.get_output_embeddings().out_features
        weights.check_sizes(loaded, form.target_hidden_size, self.num_tokens)
        self.embedding = _borrowed.embedding(weights, loaded, form.hidden_size)
        self.rotary = _borrowed.Rotary.of(form)
        self._angles: dict[int, Turns] = {}
        self._read_entry(weights, loaded)
        self._read_layer(weights, loaded)
        self.norm = self._take(weights, "norm.weight", form.hidden_size) if form.version == 3 else None
        self.player = player(loaded)
        heads = form.num_key_value_heads, form.head_dim
        self.rooms = rooms(loaded, 1, *heads, self.dtype) if is_played(loaded) else None
        """Where it is played."""
        self.output, self.vocabulary = _borrowed.output(weights, loaded, form.hidden_size, form.vocab_size)
        self.is_compiled = is_compiled(loaded, form.largest_matrix(len(self.vocabulary)))
        """Whether drafts are."""

    def angles(self, num_positions: int) -> Turns:
        """Of places from 0 on; the same tensors for the same number."""
        if num_positions not in self._angles:
            self._angles[num_positions] = self.rotary.angles(num_positions, self.embedding[:1])
        return self._angles[num_positions]

    def fused(self, hidden: Tensor) -> Tensor:
        """The target's states of slots (m, n · h) → what their rows read, (m, d)."""
        hidden = hidden.to(self.dtype)
        if self.form.version == 1:
            return hidden
        if self.form.norm_before_fc:
            hidden = self._normed(hidden, self._input_norm)
        if self.form.fc_norm:
            parts = hidden.split(self.form.target_hidden_size, dim=1)
            hidden = torch.cat([self._normed(*pair) for pair in zip(parts, self._fc_norms, strict=True)], dim=1)
        found: Tensor = self.fc.forward(hidden)
        return found

    def entering(self, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Of rows' states (m, d) and tokens (m,): what attention reads (m, i), and what it is added to (m, d)."""
        embedded = nn.functional.embedding(tokens, self.embedding).to(self.dtype)
        if self.form.version == 1:
            joined = self.fc.forward(torch.cat((embedded, states), dim=1))
            return joined, joined
        own = normed(states, self.form.rms_norm_eps) * self.hidden_norm
        given = torch.cat((normed(embedded, self.form.rms_norm_eps) * self.embedding_norm, own), dim=1)
        return given, own if self.form.norm_before_residual else states

    def through(self, states: Tensor, tokens: Tensor, turn: Turns, attend: Attend) -> Tensor:
        """The layer's output (m, d) of rows' states (m, d) and tokens (m,)."""
        given, states = self.entering(states, tokens)
        query, key, value = self.projected(given)
        attended = attend(rotated(query, *turn), rotated(key, *turn), value)
        return self.finish(states, attended.reshape(len(states), -1))

    def projected(self, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (m, heads, e) of what attention reads, not turned yet."""
        parts = self.qkv.forward(given).split([*self._sizes.values()], 1)
        query, key, value = (part.view(len(given), -1, self.form.head_dim) for part in parts)
        if self.head_norms:
            query, key = (self._normed(*pair) for pair in zip((query, key), self.head_norms, strict=True))
        return query, key, value

    def finish(self, states: Tensor, attended: Tensor) -> Tensor:
        """The layer's output (m, d)."""
        x = self.o_proj.forward(attended) + states
        gate, up = self.gate_up.forward(self._normed(x, self.mlp_norm)).chunk(2, dim=1)
        found: Tensor = self.down.forward(nn.functional.silu(gate) * up) + x
        return found

    def handed_on(self, states: Tensor) -> Tensor:
        """What the slots behind read of a layer's output."""
        return self._normed(states, self.norm) if self.form.norm_output and self.norm is not None else states

    def scores(self, states: Tensor) -> Tensor:
        """(m, n) of the vocabulary's tokens, from a layer's output."""
        scored: Tensor = self.output.forward(states if self.norm is None else self._normed(states, self.norm))
        return scored

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return normed(x, self.form.rms_norm_eps) * weight

    def _read_entry(self, weights: Weights, loaded: LoadedModel) -> None:
        form, size = self.form, self.form.hidden_size
        is_first = form.version == 1
        num_taps, width = len(form.hidden_layers), form.target_hidden_size
        if is_first and (num_taps, width) != (1, size):
            raise BadInput(f"EAGLE-1 reads one state of width {size}; {weights.folder} names {num_taps} of {width}.")
        matrix = weights.take("fc.weight", size, 2 * size if is_first else num_taps * width)
        self.fc = linear(loaded, matrix, weights.take("fc.bias", size) if form.fc_bias else None)
        if form.norm_before_fc:
            self._input_norm = self._take(weights, "input_norm.weight", num_taps * width)
        if form.fc_norm:
            self._fc_norms = [self._take(weights, f"fc_norm.{tap}.weight", width) for tap in range(num_taps)]

    def _read_layer(self, weights: Weights, loaded: LoadedModel) -> None:
        form, size, own = self.form, self.form.hidden_size, f"{LAYER}.self_attn"
        queries, keys = (heads * form.head_dim for heads in (form.num_attention_heads, form.num_key_value_heads))
        self._sizes = dict(zip("qkv", (queries, keys, keys), strict=True))
        self.qkv = linear(loaded, *self._joined(weights, own, size if form.version == 1 else 2 * size))
        self.o_proj = linear(loaded, weights.take(f"{own}.o_proj.weight", size, queries))
        names = [f"{own}.{name}_norm.weight" for name in "qk"]
        has_norms = names[0] in weights.tensors
        self.head_norms = [self._take(weights, name, form.head_dim) for name in names] if has_norms else []
        mlp, width = f"{LAYER}.mlp", form.intermediate_size
        pair = [weights.take(f"{mlp}.{name}_proj.weight", width, size) for name in ("gate", "up")]
        self.gate_up = linear(loaded, torch.cat(pair))
        self.down = linear(loaded, weights.take(f"{mlp}.down_proj.weight", size, width))
        self.mlp_norm = self._take(weights, f"{LAYER}.post_attention_layernorm.weight", size)
        if form.version == 3:
            self.embedding_norm = self._take(weights, f"{LAYER}.input_layernorm.weight", size)
            self.hidden_norm = self._take(weights, f"{LAYER}.hidden_norm.weight", size)

    def _joined(self, weights: Weights, own: str, width: int) -> tuple[Tensor, Tensor | None]:
        """Queries', keys' and values' matrices one below the other, and their biases where there are any."""
        sizes = self._sizes.items()
        matrix = torch.cat([weights.take(f"{own}.{name}_proj.weight", size, width) for name, size in sizes])
        if f"{own}.q_proj.bias" not in weights.tensors:
            return matrix, None
        return matrix, torch.cat([weights.take(f"{own}.{name}_proj.bias", size) for name, size in sizes])

    def _take(self, weights: Weights, name: str, *shape: int) -> Tensor:
        return weights.take(name, *shape).to(self.device, self.dtype)


class EagleCache(ABC):
    """The layer's keys and values in one session: (kv heads, columns, e)."""

    network: EagleNetwork
    keys: Tensor
    values: Tensor

    @abstractmethod
    def read(self, hidden: Tensor, tokens: Sequence[int], column: int) -> Tensor:
        """Slots of the text in a row from `column` on, by the target's states (m, n · h): the last's output (1, d)."""

    @abstractmethod
    def advance(
        self, before: Tensor, rows: Tokens, tokens: Tokens, position: int, column: int, sees: Looks, top_k: int
    ) -> tuple[Tensor, Candidates]:
        """A level of a draft, its keys and values from `column` on: the layer's output, and what is likeliest behind.

        Of each row (m,) the row of `before`, the level above, whose output it reads, and its token; `sees (m, n)`:
        which of the last n columns, theirs included, each looks at.
        """

    @abstractmethod
    def likeliest(self, states: Tensor, top_k: int) -> Candidates:
        """The best tokens behind rows, from the layer's output (m, d)."""


class CalledCache(EagleCache):
    """Kernel by kernel."""

    def __init__(self, network: EagleNetwork, num_columns: int) -> None:
        form = network.form
        self.network = network
        shape = (form.num_key_value_heads, num_columns, form.head_dim)
        self.keys, self.values = (torch.zeros(shape, dtype=network.dtype, device=network.device) for _ in range(2))
        self._cos, self._sin = network.rotary.angles(num_columns, network.embedding[:1])

    def encode(self, states: Tensor, tokens: Sequence[int], positions: Tensor, column: int, mask: Tensor) -> Tensor:
        """The layer's output (m, d) of rows, whose keys and values are kept from `column` on.

        `states (m, d)`; `positions (m,)`; `mask (m, n)`: which of the last n columns, theirs included, each looks at.
        """
        network, end = self.network, column + len(states)
        ids = crossings.upload(torch.tensor(tokens, dtype=torch.int64), network.device)
        positions, mask = (crossings.upload(part, network.device) for part in (positions, mask))
        mask = nn.functional.pad(mask, (end - mask.shape[1], 0), value=True)

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            self.keys[:, column:end], self.values[:, column:end] = key.transpose(0, 1), value.transpose(0, 1)
            return attend_fused(query, self.keys[:, :end], self.values[:, :end], mask)

        return network.through(states, ids, (self._cos[positions], self._sin[positions]), attend)

    def advance(
        self, before: Tensor, rows: Tokens, tokens: Tokens, position: int, column: int, sees: Looks, top_k: int
    ) -> tuple[Tensor, Candidates]:
        states = self.network.handed_on(crossings.rows(before, rows.tolist()))
        positions = torch.full((len(tokens),), position)
        given = self.encode(states, tokens.tolist(), positions, column, torch.from_numpy(sees))
        return given, self.likeliest(given, top_k)

    def likeliest(self, states: Tensor, top_k: int) -> Candidates:
        places, log_probs = likeliest(self.network.scores(states), top_k)
        return self.network.vocabulary[places], log_probs

    @torch.inference_mode()
    def read(self, hidden: Tensor, tokens: Sequence[int], column: int) -> Tensor:
        states = self.network.fused(hidden)
        for first in range(0, len(tokens), MOST_ROWS):
            some = slice(first, first + MOST_ROWS)
            num = len(tokens[some])
            mask = torch.ones(num, num, dtype=torch.bool).tril()
            positions = torch.arange(column + first, column + first + num)
            last = self.encode(states[some], tokens[some], positions, column + first, mask)[-1:]
        return last
