"""What an event tells of a step beside what happened: texts, and what the target made of nodes and emitted tokens.

Knows trees, verdicts and distributions; decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.distributions import Distributions
from engine.events import Candidate, DraftedFrom, Emitted, Node, Origin, Status, Weighed
from engine.text import TokenTexts
from engine.tree import DraftTree
from engine.verify import Verdict

NUM_ALTERNATIVES = 5


@dataclass(frozen=True)
class Detail:
    """Probabilities under the target as a page shows them; None where they were not asked for or are not finite."""

    node_probs: list[float | None]
    probs: list[float | None]
    """Of each emitted token."""
    alternatives: list[tuple[Candidate, ...]]
    """The likeliest tokens at the place of each."""
    drafted_from: tuple[DraftedFrom, ...] = ()

    @classmethod
    def none(cls, num_nodes: int, num_tokens: int) -> Detail:
        """For a session that asked for none."""
        return cls([None] * num_nodes, [None] * num_tokens, [()] * num_tokens)

    @classmethod
    def of(
        cls, tree: DraftTree, verdict: Verdict, token_ids: Sequence[int], target: Distributions, texts: TokenTexts
    ) -> Detail:
        """Of a step that emitted `token_ids`: the path's first ones, and the next token where all were emitted."""
        rows = [0, *(node + 1 for node in verdict.path)][: len(token_ids)]
        parents = [parent + 1 for parent in tree.parents]
        laws = _Laws(tree, rows) if tree.draws else None
        asked_rows, asked_tokens = laws.asked if laws else ([], [])
        probs, top = target.told(
            [*parents, *rows, *asked_rows], [*tree.tokens, *token_ids, *asked_tokens], rows, NUM_ALTERNATIVES
        )
        alternatives = [tuple(Candidate(token, texts[token], prob) for token, prob in best) for best in top]
        num_nodes, num = len(tree), len(tree) + len(rows)
        drafted_from = laws.told(probs[num:], dict(zip(rows, top, strict=True)), texts) if laws else ()
        return cls(probs[:num_nodes], probs[num_nodes:num], alternatives, drafted_from)


class _Laws:
    """What drafts below these rows were drawn from, where there are any."""

    def __init__(self, tree: DraftTree, rows: Sequence[int]) -> None:
        assert tree.draws is not None
        self._rows = [row for row in rows if tree.draws_below[row]]
        self._laws = tree.draws.rows[[tree.draws.row_of[tree.draws_below[row][0]] for row in self._rows]]
        self._best: list[list[int]] = self._laws.topk(min(NUM_ALTERNATIVES, self._laws.shape[1])).indices.tolist()

    @property
    def asked(self) -> tuple[list[int], list[int]]:
        """Rows and tokens whose target probabilities have to be known."""
        pairs = [(row, token) for row, best in zip(self._rows, self._best, strict=True) for token in best]
        return [row for row, _ in pairs], [token for _, token in pairs]

    def told(
        self, probs: Sequence[float | None], top: Mapping[int, Sequence[tuple[int, float]]], texts: TokenTexts
    ) -> tuple[DraftedFrom, ...]:
        """`probs`: of what was asked; `top`: the target's likeliest tokens of each row."""
        known = iter(probs)
        places = [
            {token: next(known) for token in best} | dict(top[row])
            for row, best in zip(self._rows, self._best, strict=True)
        ]
        pairs = [(place, token) for place, tokens in enumerate(places) for token in tokens]
        stated = iter(self._laws[[place for place, _ in pairs], [token for _, token in pairs]].tolist())
        found = []
        for row, tokens in zip(self._rows, places, strict=True):
            weighed = (Weighed(token, texts[token], prob, next(stated)) for token, prob in tokens.items())
            found.append(DraftedFrom(row - 1, tuple(each for each in weighed if each.target_prob or each.draft_prob)))
        return tuple(found)


def told_nodes(tree: DraftTree, statuses: Sequence[Status], detail: Detail, texts: TokenTexts) -> tuple[Node, ...]:
    """The tree's nodes as an event has them."""
    draft_probs = map(_finite, tree.draft_probs or [None] * len(tree))
    rows = zip(tree.tokens, tree.parents, statuses, detail.node_probs, draft_probs, strict=True)
    return tuple(Node(token, texts[token], parent, status, p, q) for token, parent, status, p, q in rows)


def told_tokens(
    verdict: Verdict, token_ids: Sequence[int], pieces: Sequence[str], detail: Detail
) -> tuple[Emitted, ...]:
    """The emitted tokens as an event has them, `pieces` their texts."""
    places: list[int | None] = [*verdict.path, None][: len(pieces)]
    origins: list[Origin] = ["accepted" if node is not None else verdict.next_origin for node in places]
    found = zip(token_ids, pieces, origins, places, detail.probs, detail.alternatives, strict=True)
    return tuple(Emitted(token, text, origin, node, p, top) for token, text, origin, node, p, top in found)


def _finite(prob: float | None) -> float | None:
    """None for what no JSON can carry: a drafter whose numbers broke may still be drafting."""
    return prob if prob is not None and math.isfinite(prob) else None
