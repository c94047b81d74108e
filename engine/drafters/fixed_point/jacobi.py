"""Jacobi decoding: guess a window of tokens, let one pass correct all of them, keep what has settled.

Jacobi decoding of text: arXiv 2305.10427. The window's guesses are a draft chain. After a pass each
guess behind the accepted ones becomes what the target says at its place, given the guesses before
it; new places at the window's end are guessed from the context (`start_from`).

What a guess is follows the verification rule's draft mode:
- likeliest: the target's likeliest token.
- coupled: the token that the target's own noise of that place stands for, so that sampling is
  a fixed point too, and the text is plain decoding's.
- drawn: Speculative Jacobi Decoding (arXiv 2410.01699). Each guess is drawn afresh from the
  target's distribution at its place, which is kept: the next pass accepts guess i with probability
  min(1, p_i / q_i) and corrects from the residual. Exact: guess i was drawn from q_i with noise of
  its own, and neither p_i nor the fate of the guesses before it depends on it. First guesses are
  stated as certain (one-hot q_i). `keep_above` keeps guesses that were not yet examined, with
  their q_i, where q_i was sure; that is decided by q_i alone, never by the guess, so it is exact too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.drafters.base import Context, Drafter, Room
from engine.drafters.budget import MeasuredBudget, budget_option
from engine.drafters.ngrams import NgramIndex
from engine.errors import BadInput
from engine.options import option
from engine.sampling import warp
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target


@dataclass(frozen=True)
class JacobiOptions:
    """How far to guess and where guesses begin."""

    window: int = option(8, "Tokens guessed at once.", low=1, high=64, unit="tokens")
    budget: str = budget_option()
    start_from: str = option(
        "ngram",
        "First guess of a place: what followed the tokens before it, the token before it, or any of the context.",
        choices=("ngram", "repeat", "random"),
    )
    keep_above: float = option(
        1.0, "Under rule rejection, keep a guess whose draw was at least this sure; 1 redraws all.", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class Guess:
    """A token for a place, and what it was drawn from (v,), where the rule asks for it."""

    token: int
    drawn_from: Tensor | None = None
    """None for a first guess, which is certain."""


class Jacobi(Drafter):
    """A chain of guesses that the target improves from pass to pass."""

    name = "jacobi"
    title = "Jacobi"
    summary = "Guesses a window of tokens; each pass corrects all guesses at once, until they agree with themselves."
    source = "arXiv 2305.10427, 2410.01699 (SJD)"
    drawings = ("in_turn",)
    Options = JacobiOptions
    options: JacobiOptions

    def __init__(self, options: JacobiOptions, target: Target) -> None:
        super().__init__(options, target)
        if options.window >= target.max_context:
            raise BadInput(
                f"The window of {options.window} tokens does not fit this model's context of {target.max_context}."
            )

        self._budget = MeasuredBudget()

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._budget = MeasuredBudget(costs.rows, self.options.window)

    def start(self, context: Context) -> None:
        super().start(context)
        self._index = NgramIndex(1, 2)
        self._guesses: list[Guess] = []
        self._vocab_size: int | None = None
        """Of the target's logits; known after its first pass."""

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._index.extend(context.ids)
        is_drawn = context.draft_mode == "drawn"
        if is_drawn and self._vocab_size is None:
            return EMPTY_TREE
        self._refill(context)
        guesses = self._guesses[: room.chain]
        if not is_drawn:  # a seed's text may hang on what is drafted, and then not on the machine
            guesses = guesses[: self._budget.choose(range(len(guesses)))]
        if not guesses:
            return EMPTY_TREE
        drawn_from = torch.stack([self._distribution(guess) for guess in guesses]) if is_drawn else None
        return self._budget.offer(chain([guess.token for guess in guesses], drawn_from=drawn_from))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Guess the places behind the next token anew, each by the row of the guesses before it."""
        self._budget.learn(self.context.tree, verdict.path)
        tree, first = self.context.tree, len(verdict.path) + 1
        guesses, self._guesses = self._guesses[: self._num_drafted(tree)], []
        self._vocab_size = scored.logits.shape[1]
        if first > len(guesses) or verdict.path != tuple(range(len(verdict.path))):
            return
        before = self.context.ids[: -len(emitted)]
        contexts = [[*before, *tree.tokens[:row]] for row in range(first, len(guesses) + 1)]
        new = self._renewed(scored.logits[first : len(guesses) + 1], contexts)
        old = guesses[first:]
        self._guesses = [o if self._is_kept(o) else n for o, n in zip(old, new, strict=False)] + new[len(old) :]

    def _num_drafted(self, tree: DraftTree) -> int:
        """How many of the guesses are the tree's first nodes, in a row."""
        for place, guess in enumerate(self._guesses[: len(tree)]):
            if (tree.tokens[place], tree.parents[place]) != (guess.token, place - 1):
                return place
        return min(len(tree), len(self._guesses))

    def _renewed(self, logits: Tensor, contexts: Sequence[Sequence[int]]) -> list[Guess]:
        """What the target says behind each of these contexts, by the rule in use."""
        config, mode, noise = self.context.config, self.context.draft_mode, self.context.noise
        probs = warp(logits, config, contexts)
        if mode == "drawn":
            stream = f"{self.name} at {self.context.position}"
            tokens = noise.draws(probs, range(len(probs)), stream)
            return [Guess(token, row) for token, row in zip(tokens, probs, strict=True)]
        if mode == "likeliest":
            return [Guess(token) for token in probs.argmax(dim=1).tolist()]
        return [Guess(token) for token in noise.draws(probs, [len(before) for before in contexts])]

    def _is_kept(self, guess: Guess) -> bool:
        return guess.drawn_from is not None and guess.drawn_from.max().item() > self.options.keep_above

    def _refill(self, context: Context) -> None:
        """First guesses for the places that the window has gained."""
        picks = context.noise.picks(context.ids, context.position, f"{self.name}, first guesses")
        text = [*context.ids[-2:], *(guess.token for guess in self._guesses)]
        while len(self._guesses) < self.options.window:
            if self.options.start_from == "ngram":
                token = self._followed(context.ids, text[-2:])
            else:
                token = text[-1] if self.options.start_from == "repeat" else next(picks)
            text.append(token)
            self._guesses.append(Guess(token))

    def _followed(self, ids: Sequence[int], ngram: Sequence[int]) -> int:
        """What last followed two tokens in the context, or the last of them; else that one again."""
        for key in (ngram, ngram[-1:]):
            ends = [end for end in self._index.ends(key)[-2:] if end < len(ids)]
            if ends:
                return ids[ends[-1]]
        return ngram[-1]

    def _distribution(self, guess: Guess) -> Tensor:
        """What a guess was drawn from (v,); one-hot for a first guess."""
        if guess.drawn_from is not None:
            return guess.drawn_from.cpu()
        assert self._vocab_size is not None
        return torch.zeros(self._vocab_size).index_fill_(0, torch.tensor([guess.token]), 1.0)


DRAFTER = Jacobi
