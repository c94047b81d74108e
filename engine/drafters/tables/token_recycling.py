"""Token Recycling: keep the runners-up of every position, and draft from them by table look-up.

arXiv 2408.08696. `M[token]` holds the k tokens that the target last found likeliest after it. A draft
is a tree of fixed shape (the paper's: 80 nodes, 6 deep) filled depth by depth: the child of rank r of
a node is M[node's token][r]. After each pass the rows of all tokens that were fed, rejected ones
included, are replaced by the top k of their raw logits; where a token was fed twice, the last in
tree order stays. Entries that were never written propose nothing. Of the nodes that are known as many
are drafted as pay on this machine, by depth + rank (`budget.py`); `budget=fixed` drafts all.
Cold, the table holds the prompt's own successors (`reads_prompt`), behind them the target's candidates
of the prompt's tokens if asked for (`prompt_scores`), and nothing else; `corpus` gives it
each token's most frequent successors in a text file, a read-only table that every session copies.
Cost of a draft: one gather per depth, whatever the context's length. Memory: (v, 8) int32.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.drafters import corpus
from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.budget import MeasuredBudget, budget_option
from engine.drafters.fallback import BackedOptions
from engine.facts import TargetFacts
from engine.options import option
from engine.tree import DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target

Ints = npt.NDArray[np.int32]
NO_CORPUS = "none"
K = 8
UNKNOWN = -1
_COUNTS = {
    "": "8",
    "0 1 2 3 4 5 6 7": "8 4 3 2 1 1 1 1",
    "00 01 02 03 04 05 06 07 10 11 20 30 40 50": "8 3 2 1 1 1 1 1 2 1 1 1 1 1",
    "000 001 002 003 004 010 020 100 200 300": "5 2 1 1 1 1 1 1 1 1",
    "0000 0001 0002 0010 0100 1000": "3 1 1 1 1 1",
    "00000 00010": "2 1",
}
NUM_CHILDREN: dict[tuple[int, ...], int] = {
    tuple(map(int, path)): int(count)
    for paths, counts in _COUNTS.items()
    for path, count in zip(paths.split(" "), counts.split(" "), strict=True)
}
"""The paper's tree "2.2.2": how many children the node at a path of ranks has."""


@dataclass(frozen=True)
class TokenRecyclingOptions(BackedOptions):
    """How wide to draft and what to learn from."""

    nodes: int = option(
        80, "Most nodes of the tree; the deepest and last in rank go first.", low=1, high=80, unit="nodes"
    )
    budget: str = budget_option()
    k: int = option(K, "Candidates of a token to draft from.", low=1, high=K, unit="tokens")
    learns_from: str = option("all", "Update the table from all nodes, or from accepted ones.", choices=("all", "path"))
    reads_prompt: bool = option(True, "Begin with what followed each token in the prompt.")
    prompt_scores: bool = option(False, "Begin with what the target finds likely behind each token of the prompt.")
    corpus: str = option(
        NO_CORPUS, "Text file, or .npz file of its token ids, to begin with; or none.", kind="file", words=(NO_CORPUS,)
    )


@dataclass(frozen=True)
class Template:
    """A fixed tree: row 0 is the root, node i is row i + 1. Ranks and parents (n,), by depth."""

    parents: npt.NDArray[np.intp]
    """Rows."""
    ranks: npt.NDArray[np.intp]
    depths: tuple[slice, ...]
    """The nodes of each depth."""
    nodes: tuple[int, ...]
    """Parents as a draft tree has them."""
    places: npt.NDArray[np.intp]
    """Of each node among all by depth + rank sum: the first are drafted first."""


@functools.cache
def template(num_nodes: int, k: int) -> Template:
    """The paper's tree, cut to ranks below `k` and to the `num_nodes` nodes of least depth + rank sum."""
    paths = [(*parent, rank) for parent, num in NUM_CHILDREN.items() for rank in range(num)]
    paths = [path for path in paths if max(path) < k]
    best = sorted(paths, key=lambda path: (len(path) + sum(path), len(path), path))[:num_nodes]
    kept = sorted(best, key=lambda path: (len(path), path))
    row = {(): 0, **{path: i + 1 for i, path in enumerate(kept)}}
    parents = [row[path[:-1]] for path in kept]
    sizes = [sum(len(path) == depth for path in kept) for depth in range(1, len(kept[-1]) + 1)]
    starts = [sum(sizes[:depth]) for depth in range(len(sizes))]
    return Template(
        parents=np.array(parents, dtype=np.intp),
        ranks=np.array([path[-1] for path in kept], dtype=np.intp),
        depths=tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True)),
        nodes=tuple(parent - 1 for parent in parents),
        places=np.array([best.index(path) for path in kept], dtype=np.intp),
    )


def successors(ids: Sequence[int], num_tokens: int) -> Ints:
    """(num_tokens + 1, K): each token's most frequent successors in a text, the commonest first.

    The last row stays unknown: unknown tokens (-1) lead to it. Ids from `num_tokens` on are no tokens, and left out.
    """
    table = np.full((num_tokens + 1, K), UNKNOWN, dtype=np.int32)
    before, after = np.asarray(ids[:-1], dtype=np.int64), np.asarray(ids[1:], dtype=np.int64)
    is_token = np.maximum(before, after) < num_tokens
    pairs = before[is_token] * num_tokens + after[is_token]
    found, counts = np.unique(pairs, return_counts=True)
    tokens, following = np.divmod(found, num_tokens)
    order = np.lexsort((following, -counts, tokens))
    tokens, following = tokens[order], following[order]
    ranks = np.arange(len(tokens)) - np.searchsorted(tokens, tokens)
    is_kept = ranks < K
    table[tokens[is_kept], ranks[is_kept]] = following[is_kept]
    return table


def filled_up(first: Ints, then: Ints) -> Ints:
    """(n, K): the tokens of each row, and behind them those of `then` that are not among them."""
    rows = (dict.fromkeys(token for token in row if token >= 0) for row in np.hstack((first, then)).tolist())
    return np.array([[*row, *[UNKNOWN] * K][:K] for row in rows], dtype=np.int32).reshape(-1, K)


def corpus_table(path: str, model: TargetFacts) -> Ints:
    """The table of a corpus file, made once for all sessions, which only read it. Raises BadInput."""
    file = Path(path).expanduser()
    key = ("successors", path, file.stat().st_mtime_ns if file.is_file() else 0)
    return model.keep(key, lambda: successors(corpus.load(path, model), len(model.tokenizer)))


class TokenRecycling(Drafter):
    """An adjacency table of the target's own candidates."""

    name = "token_recycling"
    title = "Token Recycling"
    summary = "Keeps the tokens that the target found likely after each token, and drafts a tree from that table."
    source = "arXiv 2408.08696"
    Options = TokenRecyclingOptions
    options: TokenRecyclingOptions

    def __init__(self, options: TokenRecyclingOptions, target: Target) -> None:
        super().__init__(options, target)
        model = target.facts
        self._num_tokens = len(model.tokenizer)
        self._template = template(options.nodes, options.k)
        self._budget = MeasuredBudget()
        self.needs = Needs(prompt_top_k=K if options.prompt_scores else 0)
        self._base = None if options.corpus == NO_CORPUS else corpus_table(options.corpus, model)

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._budget = MeasuredBudget(costs.rows, len(self._template.nodes))

    def start(self, context: Context) -> None:
        super().start(context)
        unknown = np.full((self._num_tokens + 1, K), UNKNOWN, dtype=np.int32)
        self.table = unknown if self._base is None else self._base.copy()
        top = context.prompt_top
        if top is not None:
            self._learn(np.array(context.ids[:-1]), top.ids(K).numpy())
        if self.options.reads_prompt and len(context.ids) > 1:
            prompt = successors(context.ids, self._num_tokens)
            is_known = prompt[:, 0] >= 0
            likely = self.table[is_known]
            self.table[is_known] = prompt[is_known] if top is None else filled_up(prompt[is_known], likely)

    def propose(self, context: Context, room: Room) -> DraftTree:
        shape = self._template
        rows = np.full(len(shape.ranks) + 1, UNKNOWN, dtype=np.int32)
        rows[0] = context.root_id if context.root_id < self._num_tokens else UNKNOWN
        for level in shape.depths[: room.depth]:
            rows[level.start + 1 : level.stop + 1] = self.table[rows[shape.parents[level]], shape.ranks[level]]
        return self._best(rows, room.nodes)

    def _best(self, rows: Ints, most: int) -> DraftTree:
        """Of the known nodes those that pay. Children of an unknown token are unknown, so it is a tree."""
        shape = self._template
        is_kept = rows >= 0
        known = np.sort(shape.places[is_kept[1:]])
        num_nodes = min(most, self._budget.choose(known))
        if num_nodes < len(known):
            is_kept[1:] &= shape.places < known[num_nodes]
        if is_kept[1:].all():
            tree = DraftTree(tuple(rows[1:].tolist()), shape.nodes)
        else:
            parents = (np.cumsum(is_kept) - 2)[shape.parents[is_kept[1:]]]
            tree = DraftTree(tuple(rows[1:][is_kept[1:]].tolist()), tuple(parents.tolist()))
        return self._budget.offer(tree, dict(enumerate(shape.places[is_kept[1:]].tolist())))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        self._budget.learn(self.context.tree, verdict.path)
        root_id = self.context.ids[-len(emitted) - 1]
        fed: Any = np.array((root_id, *self.context.tree.tokens))
        logits = scored.logits[:, : self._num_tokens]
        if self.options.learns_from == "path":
            kept = [0, *(node + 1 for node in verdict.path)]
            fed, logits = fed[kept], logits[kept]
        self._learn(fed, logits.topk(min(K, logits.shape[1]), dim=1).indices.cpu().numpy())

    def _learn(self, fed: Any, likely: Any) -> None:
        """Of tokens (m,) that were fed what is likely behind them (m, k).

        A model's output may be wider than its tokenizer: tokens from there have no row, and are nobody's candidates.
        """
        is_token = fed < self._num_tokens
        # Repeated indices: numpy assigns in order, so the last stays.
        likely = np.where(likely < self._num_tokens, likely, UNKNOWN)
        self.table[fed[is_token], : likely.shape[1]] = likely[is_token]


DRAFTER = TokenRecycling
