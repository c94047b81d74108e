"""What an event tells of a step beside what happened: texts, and what the target made of nodes and emitted tokens.

Knows trees, verdicts and distributions; decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.distributions import Distributions
from engine.events import Candidate, Emitted, Node, Origin, Status
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
        probs, top = target.told([*parents, *rows], [*tree.tokens, *token_ids], rows, NUM_ALTERNATIVES)
        alternatives = [tuple(Candidate(token, texts[token], prob) for token, prob in best) for best in top]
        return cls(probs[: len(tree)], probs[len(tree) :], alternatives)


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
