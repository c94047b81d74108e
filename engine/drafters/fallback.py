"""Two drafters in one session: the second is asked where the first proposes nothing.

A step's tree is of one maker, and says of which. Both drafters see every step: tables learn from
all of the target's logits, and a draft model is fed the tokens that were copied when it is next
asked, so that each enters its cache once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter, Needs
from engine.options import option
from engine.tree import DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.target import Scored

NO_FALLBACK = "none"


def fallback_option() -> Any:
    """The option `fallback` of a drafter that often has nothing to propose."""
    return option(NO_FALLBACK, "Method to ask, with its defaults, where this one proposes nothing; or none.")


class WithFallback(Drafter):
    """The first drafter under its own name, backed by a second."""

    def __init__(self, first: Drafter, second: Drafter) -> None:
        self.first, self.second = first, second
        self.options = first.options
        # What the class says of one method, this object says of two.
        is_exact = first.guarantee == second.guarantee == "exact"
        told = {
            "name": first.name,
            "guarantee": "exact" if is_exact else "lossy",
            "needs": joined(first.needs, second.needs),
            "states_draws": first.states_draws and second.states_draws,
        }
        self.__dict__.update(told)

    def check(self, config: GenerationConfig) -> None:
        self.first.check(config)
        self.second.check(config)

    def start(self, context: Context) -> None:
        super().start(context)
        hidden = context.prompt_hidden
        for drafter in (self.first, self.second):
            context.prompt_hidden = self._own_layers(drafter, hidden)
            drafter.start(context)
        context.prompt_hidden = hidden

    def propose(self, context: Context, budget: int) -> DraftTree:
        for drafter in (self.first, self.second):
            tree = drafter.propose(context, budget)
            if tree:
                break
        return replace(tree, proposed_by=drafter.name) if tree else tree

    def while_scoring(self, context: Context) -> None:
        self.first.while_scoring(context)
        self.second.while_scoring(context)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        for drafter in (self.first, self.second):
            drafter.observe(verdict, emitted, replace(scored, hidden=self._own_layers(drafter, scored.hidden)))

    def _own_layers(self, drafter: Drafter, hidden: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
        """Of the hidden states that both need, one of the two's own, in its order."""
        own, asked = drafter.needs.hidden_layers, self.needs.hidden_layers
        return hidden and (tuple(hidden[asked.index(layer)] for layer in own) or None)


def joined(first: Needs, second: Needs) -> Needs:
    """What both need together."""
    return Needs(
        draft_model=first.draft_model or second.draft_model,
        weights=first.weights or second.weights,
        hidden_layers=tuple(dict.fromkeys((*first.hidden_layers, *second.hidden_layers))),
    )
