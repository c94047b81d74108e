"""What a verification rule is: pure, from tree, target distributions and noise to a verdict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor

from engine.draws import Drawing
from engine.errors import RunFailed
from engine.events import Judged, Origin
from engine.noise import Noise
from engine.tree import DraftTree

DraftMode = Literal["likeliest", "coupled", "drawn"]
"""How the tokens of a draft are chosen: the drafter's likeliest ones; those that the session's own noise picks from the
drafter's distribution, as it will pick the target's; or drawn with noise of their own, the tree saying from what."""
Temperatures = Literal["zero", "above zero"]


@dataclass(frozen=True)
class Verdict:
    """The surviving path and the one token that the target adds."""

    path: tuple[int, ...]
    next_token: int
    next_origin: Origin
    """bonus: the path ended at a leaf; correction: at a rejection; plain: there was no draft."""
    judged: tuple[Judged, ...] = ()
    """How each examined draw fared, in the order of examination; for a rule that has detail to tell."""


class TargetRows(Protocol):
    """The target's distributions behind root and nodes; a rule asks for few of them, and each costs its making."""

    @property
    def width(self) -> int:
        """Tokens that a distribution is over."""

    def likeliest(self, row: int) -> int:
        """Arg-max of a row, ties to the lowest id."""

    def drawn(self, row: int, noise: Noise, place: int) -> int:
        """The token that the session's noise of a place draws from a row's distribution."""

    def __getitem__(self, row: int) -> Tensor:
        """Distribution (v,) of a row."""


class Rule(ABC):
    """One verification rule: a file beside this one, of its name, with `RULE`. `guarantee` is exact or lossy."""

    name: ClassVar[str]
    guarantee: ClassVar[Literal["exact", "lossy"]] = "exact"
    draft_mode: ClassVar[DraftMode]
    """What it needs of a draft, above temperature 0; there, nothing is drawn, and every draft takes the likeliest."""
    drawing: ClassVar[Drawing] = "in_turn"
    """Of drafts that are drawn: how they must be."""
    is_reproducible: ClassVar[bool] = True
    """Whether model, prompt, settings and seed alone decide the text, whatever is drafted (a lossy rule's aside)."""
    needs_temperature: ClassVar[Temperatures | None] = None
    """The temperatures that it works at; None: any."""
    default_at: ClassVar[Temperatures | None] = None
    """The temperatures at which it is taken where no rule is asked for. One rule for each."""
    judges_by: ClassVar[Literal["likeliest", "draw", "ratio"] | None] = None
    """What decides over a node, for those who explain a run: whether it is the target's likeliest token; whether it is
    the token that the target draws there; for a first candidate, chance min(1, target ÷ draft). None: another way."""

    def __init__(self, has_detail: bool = False) -> None:
        """`has_detail`: whether verdicts say how each draw was judged, by rules that can."""
        self.has_detail = has_detail

    @abstractmethod
    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        """Decide.

        `target`: row 0 follows the root, row i + 1 follows node i. `position` is the absolute place in the context
        of the token that follows the root.
        """


class Descending(Rule):
    """Goes down from the root, from survivor to survivor. For any tree, or any that is drawn as the rule asks."""

    @abstractmethod
    def _next(
        self, tree: DraftTree, node: int, target: TargetRows, noise: Noise, place: int, judged: list[Judged] | None
    ) -> tuple[int | None, int]:
        """The surviving child of a node, or None and the token that follows there.

        `place` is that token's; `judged` gets each draw that is examined, where somebody asks.
        """

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        if self.draft_mode == "drawn":
            refuse_unless_drawn(type(self), tree)
        judged: list[Judged] | None = [] if self.has_detail else None
        path: list[int] = []
        node = -1
        while True:
            child, token = self._next(tree, node, target, noise, position + len(path), judged)
            if child is None:
                return Verdict(tuple(path), token, ending(tree, path), tuple(judged or ()))
            path.append(child)
            node = child


DRAWN: dict[Drawing, str] = {
    "in_turn": "sampled drafts",
    "iid": "siblings that are drawn independently of each other",
    "chain": "a chain of sampled drafts",
}
"""What a rule needs, in words."""


def refuse_unless_drawn(rule: type[Rule], tree: DraftTree) -> None:
    """Raises RunFailed for a tree that does not say what its nodes were drawn from, or was drawn otherwise."""
    if tree.draws is None and tree:
        raise RunFailed(f"Rule {rule.name} needs to know what each node was drawn from; this drafter does not say.")
    if tree.draws is not None and not tree.draws.is_drawn(rule.drawing, tree.parents):
        raise RunFailed(f"Rule {rule.name} needs {DRAWN[rule.drawing]}; this draft was drawn otherwise.")


def match(tree: DraftTree, node: int, token: int) -> int | None:
    """The child of `node` (-1: root) that holds `token`."""
    return next((child for child in tree.children[node + 1] if tree.tokens[child] == token), None)


def ending(tree: DraftTree, path: Sequence[int]) -> Origin:
    """The kind of the next token after a path."""
    if not tree:
        return "plain"
    last = path[-1] if path else -1
    return "correction" if tree.children[last + 1] else "bonus"
