"""Lookahead decoding: Jacobi iterations on a window of future tokens yield n-grams, n-grams yield drafts.

arXiv 2402.02057. The window has `window` columns and `ngram` - 1 levels. Level 0 guesses the tokens
behind the root; below each of its places hangs a column, the Jacobi history of a later place. A pass
gives each column its next token; root-side guess, column and that token are a fresh n-gram of the
target's own, kept in a pool by its first token (at most `pool` each, least recently found out first).
Pool entries of the root's token are the candidates.

Layout. Level 0 is a chain of window - 1 tokens at offsets 1, 2, … behind the root; column i hangs on
level 0's place i (column 0 on the root) and is a chain of ngram - 2 tokens. What a row of the paper's
mask may see is exactly its ancestors, so window and candidates are one draft tree of at most
(window + candidates) * (ngram - 1) - 1 nodes, in one pass, and window tokens that happen to be right
are accepted like any others. Texts that begin alike share their nodes, so that the longest match wins.
The window's rows are dropped with the rejected nodes. A window that needs more nodes than a step may have is refused.
After a pass level 0 becomes level 1, …, and the last level the new tokens: one place further on,
however many tokens were accepted, as in the released code. At first level 0 is window + ngram - 3
random tokens of the prompt, and each pass adds a level.
Candidates are drafted as far as they pay on this machine, and the window runs where it does (`WindowWorth`).
Above temperature 0 the window's tokens are drawn with the target's own noise of their places. The repetition penalty
counts the text and the row's ancestors, as it does for the target's own tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from engine.drafters.base import Context, Drafter, Room
from engine.drafters.budget import EXPLORE_EVERY, MeasuredBudget, budget_option
from engine.errors import BadInput
from engine.options import option
from engine.runtime import crossings
from engine.sampling import likeliest, penalised, warp
from engine.tree import MAX_BUDGET, DraftTree, GrowingTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target


EXPECTED_WITHOUT, EXPECTED_WITH = 1.2, 1.8
"""Tokens of a step without and with the window, before any is seen."""


@dataclass(frozen=True)
class LookaheadOptions:
    """The window's size and how many n-grams are verified."""

    window: int = option(7, "Columns of the window (W).", low=2, high=64, unit="tokens")
    ngram: int = option(5, "Length of the n-grams (N).", low=3, high=16, unit="tokens")
    candidates: int = option(7, "N-grams verified in a step, and kept for each token (G).", low=1, high=64)
    budget: str = budget_option()
    reads_text: bool = option(True, "Put the n-grams of prompt and output into the pool too.")


class Pool:
    """N-grams by their first token, at most `size` of each, the latest found last."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._found: dict[int, dict[tuple[int, ...], None]] = {}

    def add(self, token: int, rest: Sequence[int]) -> None:
        """Note that `rest` followed `token`."""
        entries = self._found.setdefault(token, {})
        entries.pop(tuple(rest), None)
        entries[tuple(rest)] = None
        if len(entries) > self.size:
            del entries[next(iter(entries))]

    def get(self, token: int) -> list[tuple[int, ...]]:
        """What followed `token`, the latest first."""
        return list(reversed(self._found.get(token, {})))


class Lookahead(Drafter):
    """A window of guesses and a pool of n-grams."""

    name = "lookahead"
    title = "Lookahead"
    summary = "Guesses many future tokens at once, and verifies the n-grams that form among its guesses."
    source = "arXiv 2402.02057"
    Options = LookaheadOptions
    options: LookaheadOptions

    def __init__(self, options: LookaheadOptions, target: Target) -> None:
        super().__init__(options, target)
        reach = options.window + options.ngram - 2
        if reach >= target.max_context:
            raise BadInput(
                f"The window of {options.window} columns and n-grams of {options.ngram} looks {reach} tokens ahead, "
                f"and this model's context holds {target.max_context}; choose a smaller window or ngram."
            )
        if (num_nodes := most_nodes(options.window, options.ngram)) > MAX_BUDGET:
            raise BadInput(
                f"The window of {options.window} columns and n-grams of {options.ngram} takes {num_nodes} nodes, and a "
                f"step drafts at most {MAX_BUDGET}; choose a smaller window or ngram."
            )

        self._budget, self._worth = MeasuredBudget(), WindowWorth()

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._budget = MeasuredBudget(costs.rows)

    def start(self, context: Context) -> None:
        super().start(context)
        self.pool = Pool(self.options.candidates)
        self._num_read = 0
        self._read(context.ids)
        num_guesses = self.options.window + self.options.ngram - 3
        picks = context.noise.picks(context.ids, context.position, self.name)
        self.levels = [list(itertools.islice(picks, num_guesses))]
        self._window: Window | None = None

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._read(context.ids)
        tree = GrowingTree()
        has_room = sum(map(len, self.levels)) <= room.nodes
        window = Window(self.levels, tree) if has_room else None
        num_guessed = len(tree.tokens)
        places: dict[int, int] = {}
        for rest in self.pool.get(context.root_id):
            if len(tree.tokens) + tree.num_new(-1, rest) <= room.nodes:
                for node in tree.add(-1, rest):
                    places.setdefault(node, len(places))
        num_found = self._budget.choose(range(len(places)))
        is_run = window is not None and self._worth.pays(
            self._budget.cost(num_found), self._budget.cost(num_found + num_guessed)
        )
        self._window = window if is_run else None
        kept = sorted({*range(num_guessed if is_run else 0), *list(places)[:num_found]})
        proposed = tree.grown().only(kept)
        self._budget.offer(proposed, {node: places[old] for node, old in enumerate(kept) if old in places})
        # Cut only where the text ends: the window, whose rows then miss, has moved for the last time.
        return proposed.pruned(room.nodes, room.depth)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """The window moves on, unless its rows were cut off or were not in this pass."""
        window, tree = self._window, self.context.tree
        self._window = None
        was_own = self._budget.is_own(tree)
        self._budget.learn(tree, verdict.path)
        if not was_own:
            return
        self._worth.learn(len(emitted), was_run=window is not None)
        if window is None:
            return
        root_place = len(self.context.ids) - len(emitted) - 1
        new = self._next_tokens(scored.logits, window.ends, root_place)
        if len(self.levels) < self.options.ngram - 1:
            self.levels = [*(level[1:] for level in self.levels), new[1:]]
            return
        firsts = [self.context.ids[root_place], *self.levels[0]]
        for first, token, *rest in zip(firsts, new, *self.levels[1:], strict=True):
            self.pool.add(first, (*rest, token))
        self.levels = [self.levels[1][1:], *self.levels[2:], new]

    def _next_tokens(self, logits: Tensor, ends: Sequence[int], root_place: int) -> list[int]:
        """What the target would say behind each column, given the text and the column's own tokens."""
        config, tree, noise = self.context.config, self.context.tree, self.context.noise
        logits = crossings.rows(logits, [end + 1 for end in ends])
        contexts = None
        if config.repetition_penalty != 1:
            before = self.context.ids[: root_place + 1]
            contexts = [[*before, *(tree.tokens[node] for node in tree.path_to(end))] for end in ends]
        if config.is_greedy:
            found: list[int] = likeliest(penalised(logits, config, contexts)).tolist()
            return found
        places = [root_place + 1 + (tree.depths[end] if end >= 0 else 0) for end in ends]
        return noise.draws(warp(logits, config, contexts), places)

    def _read(self, ids: Sequence[int]) -> None:
        """The text's own n-grams enter the pool as they are written."""
        length = self.options.ngram
        if self.options.reads_text:
            for end in range(max(self._num_read + 1, length), len(ids) + 1):
                self.pool.add(ids[end - length], ids[end - length + 1 : end])
        self._num_read = len(ids)


class Window:
    """The window's nodes in a tree: level 0 as a spine, a column of the other levels at each of its places."""

    def __init__(self, levels: Sequence[Sequence[int]], tree: GrowingTree) -> None:
        self.spine = [-1, *tree.add(-1, levels[0])]
        columns = [[level[i] for level in levels[1:]] for i in range(len(self.spine))]
        found = [tree.add(top, column) for top, column in zip(self.spine, columns, strict=True)]
        self.ends = [nodes[-1] if nodes else top for top, nodes in zip(self.spine, found, strict=True)]
        """The last node of each column; -1 is the root."""


class WindowWorth:
    """Whether the window pays: by how much longer steps with it are than steps without."""

    def __init__(self) -> None:
        self._steps, self._tokens = [8.0, 8.0], [8 * EXPECTED_WITHOUT, 8 * EXPECTED_WITH]
        self._num_asked = 0

    def pays(self, cost_without: float, cost_with: float) -> bool:
        """Of passes without and with the window. Now and then a step goes without it, to compare."""
        if cost_with <= cost_without:
            return True
        self._num_asked += 1
        without, within = (tokens / steps for tokens, steps in zip(self._tokens, self._steps, strict=True))
        return self._num_asked % EXPLORE_EVERY > 0 and within * cost_without >= without * cost_with

    def learn(self, num_emitted: int, *, was_run: bool) -> None:
        """A step emitted so many tokens."""
        self._steps[was_run] += 1
        self._tokens[was_run] += num_emitted


def most_nodes(window: int, ngram: int) -> int:
    """Nodes of the window when it is largest: a level is added a pass, and each pass takes a place from the first."""
    return max((num_passes + 1) * (window + ngram - 2 - num_passes) - 1 for num_passes in range(ngram - 1))


DRAFTER = Lookahead
