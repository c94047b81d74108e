"""DFlash's layers on one block: the root and masks in, what stands behind them out, and the cache of a session.

Chen et al. (arXiv 2602.06036), by the arithmetic of z-lab's code and of vLLM's `speculators`. The target's states of
several layers become a feature of each place; a feature is no row, it passes each layer's keys and values alone. Rows
are the block's: the root's embedding and one mask for each place behind it, which see all features and one another.
Knows rows, columns and tokens; knows nothing of trees, options or verdicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.drafters.heads import _borrowed
from engine.drafters.heads._candidates import Candidates, likeliest, ranked, read
from engine.drafters.heads._layers import is_compiled, is_played, linear, normed, player, rooms, rotated
from engine.drafters.heads._weights import Weights
from engine.drafters.heads.dflash.form import Form, read_form
from engine.errors import BadInput
from engine.runtime import crossings
from engine.runtime.attention import attend_fused

if TYPE_CHECKING:
    from engine.models import LoadedModel

OWN_MASK = "mask_embedding"
Look = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A block's queries, keys and values (m, heads, e) → what its rows see, (m, heads, e)."""
Turns = tuple[Tensor, Tensor]
"""Cosines and sines (m, 1, e ÷ 2) of places."""


class DFlashNetwork:
    """The weights in the form in which they run for one target. Shared by sessions; read-only."""

    def __init__(self, weights: Weights, loaded: LoadedModel) -> None:
        """Raises BadInput where tensors fit neither config nor target."""
        self.form = form = read_form(weights, loaded.num_layers)
        self.dtype, self.device = loaded.dtype, loaded.device
        num_tokens = loaded.model.get_output_embeddings().out_features
        weights.check_sizes(loaded, form.target_hidden_size, num_tokens)
        self.embedding = _borrowed.embedding(weights, loaded, form.hidden_size)
        self.rotary = _borrowed.Rotary.of(form)
        self._angles: dict[int, Turns] = {}
        self._player = player(loaded)
        layers = form.num_hidden_layers, form.num_key_value_heads, form.head_dim
        self.rooms = rooms(loaded, *layers, self.dtype) if is_played(loaded) else None
        """Where it is played."""
        size = form.hidden_size
        self.fc = linear(loaded, weights.take("fc.weight", size, len(form.hidden_layers) * form.target_hidden_size))
        self.layers = [self.layer(weights, loaded, number) for number in range(form.num_hidden_layers)]
        is_plain = all(type(layer) is Layer for layer in self.layers)
        self.is_compiled = is_plain and is_compiled(loaded, form.largest_matrix)
        """Whether blocks are."""
        self.context = linear(loaded, torch.cat([part for layer in self.layers for part in layer.context]))
        self._key_norms = torch.stack([layer.key_norm for layer in self.layers])[:, None, None]
        self.mask = self._own_mask(weights)
        self.feature_norm, self._norm = (
            weights.take(f"{name}.weight", size).to(self.device, self.dtype) for name in ("hidden_norm", "norm")
        )
        self._output, self.vocabulary = _borrowed.output(weights, loaded, size, form.vocab_size)
        self._ids = None if len(self.vocabulary) == num_tokens else torch.from_numpy(self.vocabulary).to(self.device)
        self._num_tokens = num_tokens

    def layer(self, weights: Weights, loaded: LoadedModel, number: int) -> Layer:
        """One of its layers."""
        return Layer(weights, loaded, self.form, number)

    @property
    def num_scored(self) -> int:
        """Tokens of the vocabulary."""
        return len(self.vocabulary)

    def features(self, hidden: Tensor) -> Tensor:
        """The target's states of places (m, n · h) → what their columns are made of, (m, d)."""
        return normed(self.fc.forward(hidden.to(self.dtype)), self.form.rms_norm_eps) * self.feature_norm

    def columns(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Each layer's keys, not turned yet, and values of places, (layers, m, heads, e) each."""
        shape = (len(features), len(self.layers), 2, self.form.num_key_value_heads, self.form.head_dim)
        keys, values = self.context.forward(features).view(shape).permute(2, 1, 0, 3, 4)
        return normed(keys, self.form.rms_norm_eps) * self._key_norms, values

    def rows(self, root_id: Tensor) -> Tensor:
        """What enters the first layer behind a root (1,), (r, d)."""
        root = nn.functional.embedding(root_id, self.embedding)
        rows = torch.cat((root.to(self.dtype), self.mask.expand(self.form.block_size - 1, -1)))
        return rows if self.form.embedding_scale == 1 else rows * self.form.embedding_scale

    def finished(self, states: Tensor) -> Tensor:
        """What the output layer reads, from the last layer's output (m, d)."""
        return normed(states, self.form.rms_norm_eps) * self._norm

    def scores(self, states: Tensor) -> Tensor:
        """(m, n) of the vocabulary's tokens, from the last layer's output (m, d)."""
        return self.scored(self.finished(states))

    def scored(self, finished: Tensor) -> Tensor:
        """(m, n) of the vocabulary's tokens, from what the output layer reads (m, d)."""
        form = self.form
        scores: Tensor = self._output.forward(finished)
        scores = scores if form.logit_scale == 1 else scores * form.logit_scale
        return torch.tanh(scores / form.logit_softcap) * form.logit_softcap if form.logit_softcap else scores

    def logits(self, states: Tensor) -> Tensor:
        """(m, v) of the target's tokens, minus infinity for those that are not drafted."""
        return self.spread(self.scores(states))

    def spread(self, scores: Tensor) -> Tensor:
        """Scores (m, n) of the vocabulary's tokens → (m, v), minus infinity for those that are not drafted."""
        scores = scores.float()
        if self._ids is None:
            return scores
        return scores.new_full((len(scores), self._num_tokens), -torch.inf).index_copy_(1, self._ids, scores)

    def likeliest(self, states: Tensor, top_k: int) -> Candidates:
        """The best tokens that rows foresee, from the last layer's output (m, d)."""
        if self.rooms is None:
            places, log_probs = likeliest(self.scores(states), top_k)
        else:
            work = partial(self._ranked, top_k)
            (found,) = self._player.run(top_k, work, given=(states,))
            places, log_probs = read(found, len(states))
        return self.vocabulary[places], log_probs

    def _ranked(self, top_k: int, states: Tensor) -> tuple[Tensor]:
        return (ranked(self.scores(states), top_k),)

    def angles(self, num_positions: int) -> Turns:
        """Of places from 0 on; the same tensors for the same number."""
        if num_positions not in self._angles:
            self._angles[num_positions] = self.rotary.angles(num_positions, self.embedding[:1])
        return self._angles[num_positions]

    def _own_mask(self, weights: Weights) -> Tensor:
        """(1, d): the weights' own vector, or a token's embedding."""
        if OWN_MASK in weights.tensors:
            return weights.take(OWN_MASK, self.form.hidden_size).to(self.device, self.dtype)[None]
        if not 0 <= self.form.mask_token_id < len(self.embedding):
            raise BadInput(
                f"The weights in {weights.folder} name mask token {self.form.mask_token_id} and hold no {OWN_MASK}; "
                f"the target embeds {len(self.embedding)} tokens."
            )
        return self.embedding[self.form.mask_token_id][None].to(self.dtype)


class Layer:
    """A Qwen3 layer."""

    def __init__(self, weights: Weights, loaded: LoadedModel, form: Form, number: int) -> None:
        self.form = form
        size, width, name = form.hidden_size, form.intermediate_size, f"layers.{number}"
        queries, keys = (heads * form.head_dim for heads in (form.num_attention_heads, form.num_key_value_heads))
        own, mlp = f"{name}.self_attn", f"{name}.mlp"
        sizes = zip("qkv", (queries, keys, keys), strict=True)
        query, *context = (weights.take(f"{own}.{part}_proj.weight", rows, size) for part, rows in sizes)
        self.context = tuple(context)
        """Of keys and values, (kv · e, d) each."""
        self.qkv = linear(loaded, torch.cat((query, *context)))
        self.o_proj = linear(loaded, weights.take(f"{own}.o_proj.weight", size, queries))
        self.gate_up = linear(
            loaded, torch.cat([weights.take(f"{mlp}.{part}_proj.weight", width, size) for part in ("gate", "up")])
        )
        self.down = linear(loaded, weights.take(f"{mlp}.down_proj.weight", size, width))
        norms = {f"{own}.q_norm": form.head_dim, f"{own}.k_norm": form.head_dim}
        norms |= dict.fromkeys((f"{name}.input_layernorm", f"{name}.post_attention_layernorm"), size)
        query_norm, self.key_norm, self.input_norm, self.mlp_norm = (
            weights.take(f"{norm}.weight", length).to(loaded.device, loaded.dtype) for norm, length in norms.items()
        )
        num_heads, num_keys = form.num_attention_heads, form.num_key_value_heads
        self.head_norms = torch.cat((query_norm.expand(num_heads, -1), self.key_norm.expand(num_keys, -1)))
        self.window = form.windows[number] if form.windows else 0
        self.is_causal = bool(form.causal[number]) if form.causal else False

    @property
    def is_bounded(self) -> bool:
        """Whether its rows see less than all there is."""
        return bool(self.window or self.is_causal)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, look: Look) -> Tensor:
        """Its output (m, d) of rows (m, d), turned by cosines and sines (m, 1, e ÷ 2)."""
        x = x + self.attended(normed(x, self.form.rms_norm_eps) * self.input_norm, cos, sin, look)
        return x + self.mixed(normed(x, self.form.rms_norm_eps) * self.mlp_norm)

    def attended(self, given: Tensor, cos: Tensor, sin: Tensor, look: Look) -> Tensor:
        """What attention adds to rows, (m, d)."""
        form, heads = self.form, len(self.head_norms)
        found = self.qkv.forward(given).view(len(given), -1, form.head_dim)
        turned = rotated(normed(found[:, :heads], form.rms_norm_eps) * self.head_norms, cos, sin)
        seen = look(turned[:, : form.num_attention_heads], turned[:, form.num_attention_heads :], found[:, heads:])
        added: Tensor = self.o_proj.forward(seen.reshape(len(given), -1))
        return added

    def mixed(self, given: Tensor) -> Tensor:
        """What the MLP adds to rows, (m, d)."""
        gate, up = self.gate_up.forward(given).chunk(2, dim=1)
        added: Tensor = self.down.forward(nn.functional.silu(gate) * up)
        return added

    def mask(self, first: int, num_rows: int, device: torch.device) -> Tensor | None:
        """(m, first + m) which columns the rows from place `first` on see; None where they see all."""
        if not self.is_bounded:
            return None
        return crossings.upload(self.sees(torch.arange(first, first + num_rows), first + num_rows), device)

    def sees(self, places: Tensor, num_columns: int) -> Tensor:
        """(m, columns) which of the first columns the rows of these places see, by window and order."""
        back = places[:, None] - torch.arange(num_columns, device=places.device)
        window = self.window or num_columns
        return (back < window) & (back >= 0 if self.is_causal else -back < window)


class DFlashCache(ABC):
    """The layers' keys and values in one session, (layers, kv heads, columns, e): of features alone."""

    network: DFlashNetwork
    keys: Tensor
    values: Tensor

    @abstractmethod
    def read(self, hidden: Tensor, column: int) -> None:
        """Keep the columns of places in a row from `column` on, whose states are (m, n · h)."""

    @abstractmethod
    def block(self, root_id: int, column: int) -> Tensor:
        """The last layer's output (r, d) of a block whose root stands behind `column` columns of the text.

        Its own keys and values stand behind them, and are written over by whatever is read next.
        """


class CalledCache(DFlashCache):
    """Kernel by kernel."""

    def __init__(self, network: DFlashNetwork, num_columns: int) -> None:
        form = network.form
        self.network = network
        shape = (form.num_hidden_layers, form.num_key_value_heads, num_columns, form.head_dim)
        self.keys, self.values = (torch.zeros(shape, dtype=network.dtype, device=network.device) for _ in range(2))
        self._cos, self._sin = network.rotary.angles(num_columns, network.embedding[:1])

    @torch.inference_mode()
    def read(self, hidden: Tensor, column: int) -> None:
        keys, values = self.network.columns(self.network.features(hidden))
        places = slice(column, column + len(hidden))
        turned = rotated(keys, self._cos[places], self._sin[places])
        self.keys[:, :, places], self.values[:, :, places] = turned.transpose(1, 2), values.transpose(1, 2)

    @torch.inference_mode()
    def block(self, root_id: int, column: int) -> Tensor:
        network, num_rows = self.network, self.network.form.block_size
        x = network.rows(crossings.upload(torch.tensor([root_id]), network.device))
        places = slice(column, column + num_rows)
        for number, layer in enumerate(network.layers):
            x = layer.forward(x, self._cos[places], self._sin[places], partial(self._look, number, column))
        return x

    def _look(self, number: int, column: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What a layer's rows (m, heads, e) see of the columns before them and of their own."""
        end = column + len(query)
        keys, values = self.keys[number, :, :end], self.values[number, :, :end]
        keys[:, column:], values[:, column:] = key.transpose(0, 1), value.transpose(0, 1)
        mask = self.network.layers[number].mask(column, len(query), self.network.device)
        return attend_fused(query, keys, values, mask)
