"""Two drafters in one session: the second is asked where the first proposes nothing.

A step's tree is of one maker, and says of which. Both drafters see every step: tables learn from
all of the target's logits, and a draft model is fed the tokens that were copied when it is next
asked, so that each enters its cache once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter, Room
from engine.options import option
from engine.tree import DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.target import Scored

NO_FALLBACK = "none"
PREFIX = "fallback."
"""Of an option that is the fallback's: `fallback.depth`."""


@dataclass(frozen=True)
class BackedOptions:
    """Whom to ask beside a drafter that often has nothing to propose; what a member adds stands before."""

    fallback: str = option(
        NO_FALLBACK,
        "Method to ask where this one proposes nothing, or none; its options are fallback.NAME.",
        kind="method",
        words=(NO_FALLBACK,),
        comes_last=True,
    )
    union: bool = option(False, "Ask the fallback in every step, and verify both trees as one.", comes_last=True)


class WithFallback(Drafter):
    """The first drafter under its own name, backed by a second."""

    def __init__(self, first: Drafter, second: Drafter, given: Mapping[str, object] | None = None) -> None:
        """`given`: the options of the second that were asked for, by name."""
        self.first, self.second = first, second
        self._given = {PREFIX + name: value for name, value in (given or {}).items()}
        self.options = first.options
        # What the class says of one method, this object says of two.
        is_exact = first.guarantee == second.guarantee == "exact"
        told = {
            "name": first.name,
            "guarantee": "exact" if is_exact else "lossy",
            "needs": first.needs | second.needs,
            "drawings": tuple(drawing for drawing in first.drawings if drawing in second.drawings),
            "caveat": " ".join(filter(None, (first.caveat, second.caveat))),
        }
        self.__dict__.update(told)

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.first.settings, **self._given}

    def check(self, config: GenerationConfig) -> None:
        self.first.check(config)
        self.second.check(config)

    def start(self, context: Context) -> None:
        super().start(context)
        hidden, top = context.prompt_hidden, context.prompt_top
        for drafter in (self.first, self.second):
            context.prompt_hidden = drafter.needs.own_hidden(hidden, self.needs)
            context.prompt_top = top if drafter.needs.prompt_top_k else None
            drafter.start(context)
        context.prompt_hidden, context.prompt_top = hidden, top

    def propose(self, context: Context, room: Room) -> DraftTree:
        for drafter in (self.first, self.second):
            tree = drafter.propose(context, room)
            if tree:
                break
        return replace(tree, proposed_by=drafter.name) if tree else tree

    def while_scoring(self, context: Context) -> None:
        self.first.while_scoring(context)
        self.second.while_scoring(context)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        for drafter in (self.first, self.second):
            hidden = drafter.needs.own_hidden(scored.hidden, self.needs)
            drafter.observe(verdict, emitted, replace(scored, hidden=hidden))
