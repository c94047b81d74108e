"""Chimera: one small layer drafts, reading the target's hidden states and trigrams of the drafted tokens.

Zeng et al. (arXiv 2402.15758) and the released code. The trigram encoder makes g of a token and the two before
it; the full-context encoder lets g look at the target's last hidden states, and gives c, a stand-in for the hidden
state that the target has not computed; head k scores the next token from [h ; c], where h is the last verified
hidden state. Each level of a static tree is one pass over its inner nodes. Behind the verdict the target's own
hidden states take the place of every c. Choices where the sources differ or are silent:
- A node sees its ancestors' c and g; the released mask hides them by mistake.
- A head is a matrix of 2d to d before the target's own output layer; the released ones score the vocabulary
  themselves, and start as the target's output layer twice.
- The tree is the one that held-out acceptance gave, cut to what pays on this machine; the released one is EAGLE's
  25 nodes, used where nothing was measured.
- Trigram outputs are remembered for one session, not for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters import shapes
from engine.drafters.base import Context, Room
from engine.drafters.heads._layers import output_layer, small_output
from engine.drafters.heads._trained import TrainedDrafter, TrainedOptions, with_verified
from engine.drafters.heads._trees import EAGLE_1
from engine.drafters.heads._weights import Weights
from engine.drafters.heads.chimera.network import Network, TorchNetwork, Triple, read_weights
from engine.options import option
from engine.runtime import crossings
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.models import LoadedModel
    from engine.target import Scored, Target
    from engine.verify import Verdict

MOST_TRIGRAMS = 16_384
"""Remembered trigram outputs of a session; then it starts to remember anew."""


@dataclass(frozen=True)
class ChimeraOptions(TrainedOptions):
    """Which weights, and how much of the measured tree."""

    depth: int = option(0, "Most draft steps; 0 takes one for each head.", low=0, high=16, unit="tokens")
    top_k: int = option(0, "Most candidates behind a node; 0 takes the measured tree's.", low=0, high=16, unit="tokens")
    remembers: bool = option(True, "Remember the trigram encoder's outputs by their three tokens.")


@dataclass(frozen=True)
class Level:
    """One pass: the nodes of one depth that have children (the root is -1)."""

    nodes: tuple[int, ...]
    parents: tuple[int, ...]
    """Places in the level before whose c this level looks at."""
    mask: Tensor
    """(nodes, columns of the draft so far), True where a node may look."""
    columns: Tensor
    """(parents + nodes,) columns of the draft that this level writes."""
    positions: Tensor
    """(parents + nodes,) positions behind the root's."""
    children: tuple[int, ...]
    rows: tuple[int, ...]
    """Place of each child's parent in this level."""
    ranks: tuple[int, ...]

    @property
    def num_columns(self) -> int:
        """Columns that this level adds."""
        return len(self.parents) + len(self.nodes)


def plan(shape: shapes.Shape) -> list[Level]:
    """A static tree as passes, one a depth."""
    parents = shape.parents
    inner = set(parents)
    sees: dict[int, list[int]] = {-1: []}
    before: tuple[int, ...] = ()
    levels: list[Level] = []
    num_columns = 0
    for depth in range(shape.depth):
        nodes = (-1,) if depth == 0 else tuple(n for n in sorted(inner - {-1}) if len(shape.paths[n]) == depth)
        above = tuple(before.index(parents[n]) for n in nodes if n >= 0)
        used = tuple(sorted(set(above)))
        for place, node in enumerate(nodes):
            if node >= 0:
                own = [num_columns + used.index(above[place]), num_columns + len(used) + place]
                sees[node] = [*sees[parents[node]], *own]
        columns = torch.arange(num_columns, num_columns + len(used) + len(nodes))
        positions = torch.tensor([depth - 1] * len(used) + [depth] * len(nodes))
        num_columns += len(used) + (len(nodes) if depth else 0)
        mask = torch.zeros(len(nodes), num_columns, dtype=torch.bool)
        for place, node in enumerate(nodes):
            mask[place, sees[node]] = True
        children = tuple(n for n, parent in enumerate(parents) if parent in nodes)
        rows, ranks = (nodes.index(parents[n]) for n in children), (shape.paths[n][-1] for n in children)
        below = children, tuple(rows), tuple(ranks)
        levels.append(Level(nodes, used, mask, columns, positions, *below))
        before = nodes
    return levels


class Chimera(TrainedDrafter):
    """Grows a static tree level by level with one small layer."""

    name = "chimera"
    title = "Chimera"
    summary = "One small layer drafts from the target's hidden states and from trigrams of what it has drafted."
    source = "arXiv 2402.15758"
    Options = ChimeraOptions
    options: ChimeraOptions

    def __init__(self, options: ChimeraOptions, target: Target) -> None:
        super().__init__(options, target)
        self.network = self._shared(target, load_network, target.runner.output_layer)
        self._plans: dict[tuple[int, int], list[Level]] = {}
        measured, num_heads = self.weights.shape(), self.network.shape.num_heads
        self._is_measured = measured is not None
        self.shape = self._asked(EAGLE_1 if measured is None else measured, target, num_heads)

    def fit(self, costs: Costs) -> None:
        if self._is_measured and len(self.shape) and not self.options.budget:
            level_cost = costs.draft(self, self.network) / self.shape.depth
            self.shape = shapes.choose_depth(self.shape, costs.rows, level_cost)

    def start(self, context: Context) -> None:
        super().start(context)
        assert context.prompt_hidden is not None or len(context.ids) < 2
        self.cache = self.network.context(self._most_tokens(context))
        self._trigrams: dict[Triple, Tensor] = {}
        self._columns: dict[tuple[int, ...], int] = {}
        self._num_hidden = self._num_grams = 0
        self._hidden = context.prompt_hidden[0] if context.prompt_hidden else torch.empty(0)
        if len(context.ids) > 1:
            self._catch_up(context.ids)

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._columns = {}
        shape = self.shape.within(room.nodes, room.depth)
        if not len(shape) or len(context.ids) < 2:
            return EMPTY_TREE
        key = len(shape), shape.depth
        if key not in self._plans:
            self._plans[key] = plan(shape)
        return self._grow(context.ids, self._plans[key], len(shape))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Verified hidden states wait to take the place of c; the g of accepted nodes that were run is kept.

        They wait for the next draft, which may be several steps away where another drafter proposes too.
        """
        super().observe(verdict, emitted, scored)
        assert scored.hidden is not None
        self._hidden = with_verified(self._hidden if len(self._hidden) else None, scored.hidden, verdict)
        kept: list[int] = []
        accepted = tuple(emitted[: len(verdict.path)])
        while len(kept) < len(accepted) and accepted[: len(kept) + 1] in self._columns:
            kept.append(self._columns[accepted[: len(kept) + 1]])
        if kept:
            self.cache.move(kept, range(2 * self._num_grams + 1, 2 * (self._num_grams + len(kept)) + 1, 2))
            self._num_grams += len(kept)
        self._columns = {}  # of this step's draft, and of no other

    @torch.inference_mode()
    def _catch_up(self, ids: Sequence[int]) -> Tensor:
        """Columns of every verified h and of g up to the root: c of the root, (1, d)."""
        root, hidden = len(ids) - 1, self._hidden
        grams = range(min(self._num_grams, root - 1), root)
        g = self._grams([triple_at(ids, place + 1) for place in grams])
        places = torch.arange(self._num_hidden, root)
        positions = torch.cat((places, torch.tensor(grams) + 1))
        columns = torch.cat((2 * places, 2 * torch.tensor(grams) + 1))
        rows = torch.cat((hidden.to(g.dtype), g))
        sees_all = torch.ones(1, 0, dtype=torch.bool)
        encoded = self.cache.encode(rows, 1, positions, columns, 2 * root, sees_all)
        self._num_hidden = self._num_grams = root
        self._hidden = hidden[:0]
        return encoded

    @torch.inference_mode()
    def _grow(self, ids: Sequence[int], levels: Sequence[Level], num_nodes: int) -> DraftTree:
        root = len(ids) - 1
        encoded = self._catch_up(ids)
        assert self._state is not None
        known = self.network.known_part(self._state)
        tokens, parents, probs = [0] * num_nodes, [-1] * num_nodes, [0.0] * num_nodes
        paths: dict[int, tuple[int, ...]] = {-1: ()}
        end = 2 * root
        for depth, level in enumerate(levels):
            if depth:
                self._columns |= {paths[n]: i for i, n in enumerate(level.nodes, start=end + len(level.parents))}
                triples = [cast(Triple, (*ids[-2:], *paths[node])[-3:]) for node in level.nodes]
                encoded = self._run(level, encoded, triples, root)
                end += level.num_columns
            best, log_probs = self.network.likeliest(depth, known[depth], encoded, max(level.ranks) + 1)
            shares = np.exp(log_probs)
            for child, row, rank in zip(level.children, level.rows, level.ranks, strict=True):
                node = level.nodes[row]
                tokens[child], parents[child], probs[child] = int(best[row, rank]), node, float(shares[row, rank])
                paths[child] = (*paths[node], tokens[child])
        return DraftTree(tuple(tokens), tuple(parents), tuple(probs))

    def _run(self, level: Level, encoded: Tensor, triples: Sequence[Triple], root: int) -> Tensor:
        """One pass over a level's nodes, of which `encoded` holds the c of the level above: their c, (nodes, d)."""
        rows = torch.cat((crossings.rows(encoded, level.parents), self._grams(triples)))
        positions, columns = level.positions + root, level.columns + 2 * root
        end = 2 * root + level.mask.shape[1]
        return self.cache.encode(rows, len(level.nodes), positions, columns, end, level.mask)

    def _grams(self, triples: Sequence[Triple]) -> Tensor:
        """Trigram outputs (m, d), remembered by their tokens."""
        missing = [triple for triple in dict.fromkeys(triples) if triple not in self._trigrams]
        if missing:
            if len(self._trigrams) + len(missing) > MOST_TRIGRAMS or not self.options.remembers:
                self._trigrams = {}
                missing = list(dict.fromkeys(triples))
            self._trigrams.update(zip(missing, self.network.grams(missing), strict=True))
        return torch.stack([self._trigrams[triple] for triple in triples])


def load_network(weights: Weights, loaded: LoadedModel, runner_output: nn.Module) -> Network:
    """The network in the form in which it runs for a target. Raises BadInput."""
    read = read_weights(weights)
    weights.check_sizes(loaded, read.shape.hidden_size, read.shape.vocab_size)
    vocabulary = weights.vocabulary(read.shape.vocab_size)
    output = small_output(loaded, vocabulary)
    if output is None:
        is_whole = len(vocabulary) == read.shape.vocab_size
        layer = runner_output if is_whole else output_layer(loaded, vocabulary)
        return TorchNetwork(read, loaded, layer, vocabulary)
    from engine.drafters.heads.chimera.compiled import CompiledNetwork

    embedding = cast(nn.Embedding, loaded.model.get_input_embeddings()).weight
    return CompiledNetwork(read, embedding.detach(), output, vocabulary)


def triple_at(ids: Sequence[int], place: int) -> Triple:
    """A token behind the two before it; the first two of a text are (a, a, a) and (a, b, b)."""
    if place < 2:
        return ids[0], ids[place], ids[place]
    return ids[place - 2], ids[place - 1], ids[place]


DRAFTER = Chimera
