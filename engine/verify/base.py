"""What a verification rule is: pure, from tree, target distributions and noise to a verdict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor

from engine.events import Origin
from engine.noise import Noise
from engine.tree import DraftTree


@dataclass(frozen=True)
class Verdict:
    """The surviving path and the one token that the target adds."""

    path: tuple[int, ...]
    next_token: int
    next_origin: Origin
    """bonus: the path ended at a leaf; correction: at a rejection; plain: there was no draft."""


class TargetRows(Protocol):
    """The target's distributions behind root and nodes; a rule asks for few of them, and each costs its making."""

    @property
    def width(self) -> int:
        """Tokens that a distribution is over."""

    def likeliest(self, row: int) -> int:
        """Arg-max of a row, ties to the lowest id."""

    def __getitem__(self, row: int) -> Tensor:
        """Distribution (v,) of a row."""


class Rule(ABC):
    """One verification rule. `guarantee` is exact or lossy."""

    name: ClassVar[str]
    guarantee: ClassVar[Literal["exact", "lossy"]] = "exact"
    is_reproducible: ClassVar[bool] = True
    """Whether model, prompt, settings and seed alone decide the text, whatever is drafted (a lossy rule's aside)."""

    @abstractmethod
    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        """Decide.

        `target`: row 0 follows the root, row i + 1 follows node i. `position` is the absolute place in the context
        of the token that follows the root.
        """


def match(tree: DraftTree, node: int, token: int) -> int | None:
    """The child of `node` (-1: root) that holds `token`."""
    return next((child for child in tree.children[node + 1] if tree.tokens[child] == token), None)


def ending(tree: DraftTree, path: Sequence[int]) -> Origin:
    """The kind of the next token after a path."""
    if not tree:
        return "plain"
    last = path[-1] if path else -1
    return "correction" if tree.children[last + 1] else "bonus"
