"""The exact law of what a rule emits: its coins are replaced by ones that walk through every outcome.

A `Coins` object takes each outcome with its probability, so the law of the emitted tokens comes out without
sampling error.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from toys import Rows, Table

from engine.draws import Draws, Scheme
from engine.noise import Noise
from engine.tree import EMPTY_TREE, DraftTree
from engine.verify import Rule, Verdict

Law = dict[tuple[int, ...], float]
P = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
Q = torch.tensor([0.2, 0.25, 0.4, 0.15], dtype=torch.float64)
"""Target and drafter of the golden vectors of verification.md 2.15."""
SHAPES: dict[str, tuple[int, ...]] = {
    "no draft": (),
    "one node": (-1,),
    "chain of 2": (-1, 0),
    "chain of 3": (-1, 0, 1),
    "two siblings": (-1, -1),
    "two levels": (-1, -1, 0, 1),
    "three siblings with a child": (-1, -1, -1, 1),
}
"""Parents of small trees."""


class Coins:
    """Follows a script of outcomes, then takes the first possible one; notes where it could have gone."""

    def __init__(self, script: Sequence[int]) -> None:
        self.script = list(script)
        self.weight = 1.0
        self.taken: list[int] = []
        self.others: list[list[int]] = []

    def choose(self, weights: Sequence[float]) -> int:
        possible = [i for i, weight in enumerate(weights) if weight > 0]
        place = len(self.taken)
        outcome = self.script[place] if place < len(self.script) else possible[0]
        if place >= len(self.script):
            self.others += [[*self.taken, other] for other in possible[1:]]
        self.taken.append(outcome)
        self.weight *= weights[outcome]
        return outcome


def outcomes(procedure: Callable[[Coins], Any]) -> Iterator[tuple[float, Any]]:
    """Every outcome of a random procedure, with its probability."""
    scripts: list[list[int]] = [[]]
    while scripts:
        coins = Coins(scripts.pop())
        found = procedure(coins)
        scripts += coins.others
        yield coins.weight, found


class Uniform:
    """A number uniform on (0, 1) that decides each comparison both ways."""

    def __init__(self, coins: Coins, scale: float = 1.0) -> None:
        self.coins, self.scale = coins, scale

    def __mul__(self, factor: float) -> Uniform:
        return Uniform(self.coins, self.scale * factor)

    def __lt__(self, bound: float) -> bool:
        share = min(1.0, bound / self.scale) if self.scale > 0 else float(bound > 0)
        return self.coins.choose([share, 1 - share]) == 0


class CoinNoise:
    """Noise whose every draw is a coin."""

    def __init__(self, coins: Coins) -> None:
        self.coins = coins

    def draw(self, weights: torch.Tensor, place: int, stream: str = "target") -> int:
        return self.coins.choose((weights / weights.sum()).tolist())

    def first(self, weights: torch.Tensor, most: int, place: int, stream: str = "target") -> list[int]:
        left = weights.double().clone()
        found: list[int] = []
        while len(found) < most and left.any():
            found.append(self.draw(left, place, stream))
            left[found[-1]] = 0
        return found

    def uniforms(self, place: int, stream: str) -> Iterator[Uniform]:
        return itertools.repeat(Uniform(self.coins))


def toss(rule: Rule, tree: DraftTree, probs: torch.Tensor, coins: Coins) -> Verdict:
    """`verify` of a rule with its coins taken from a `Coins` object."""
    return rule.verify(tree, Rows(probs), cast(Noise, CoinNoise(coins)), 10)


def each(rows: torch.Tensor) -> Draws:
    """Draws with a row each."""
    return Draws(rows, tuple(range(len(rows))))


def drawn_tree(parents: Sequence[int], drafter: Table, coins: Coins, scheme: Scheme, *, is_replaced: bool) -> DraftTree:
    """A tree of this shape whose tokens are drawn; siblings with or without replacement, each its own node.

    Scheme `conditional` states a row a node, the others one a parent.
    """
    tokens: list[int] = []
    laws: list[torch.Tensor] = []
    rows: list[torch.Tensor] = []
    shape = DraftTree((0,) * len(parents), tuple(parents))
    for node, parent in enumerate(parents):
        rows.append(drafter.probs([tokens[i] for i in shape.path_to(parent)]))
        laws.append(rows[-1].clone())
        if not is_replaced:
            laws[-1][[tokens[i] for i in range(node) if parents[i] == parent]] = 0
        laws[-1] /= laws[-1].sum()
        tokens.append(coins.choose(laws[-1].tolist()))
    if not rows:
        return EMPTY_TREE
    draws = each(torch.stack(laws))
    if scheme != "conditional":
        draws = Draws(torch.stack(rows), tuple(parents.index(parent) for parent in parents), scheme)
    return DraftTree(tuple(tokens), tuple(parents), None, draws)


def rows_of(tree: DraftTree, target: Table) -> torch.Tensor:
    paths = [[], *([tree.tokens[i] for i in tree.path_to(node)] for node in range(len(tree)))]
    return torch.stack([target.probs(path) for path in paths])


def tokens_of(tree: DraftTree, verdict: Verdict) -> tuple[int, ...]:
    return (*(tree.tokens[node] for node in verdict.path), verdict.next_token)


def law_of(emit: Callable[[Coins], tuple[int, ...]], target: Table, length: int) -> Law:
    """The joint law of the first `length` tokens when plain decoding goes on after one step."""
    shares: Law = defaultdict(float)
    for weight, tokens in outcomes(emit):
        shares[tokens] += weight
    law: Law = defaultdict(float)
    while shares:
        tokens, weight = shares.popitem()
        if len(tokens) >= length:
            law[tokens[:length]] += weight
            continue
        for token, prob in enumerate(target.probs(tokens).tolist()):
            shares[(*tokens, token)] = shares.get((*tokens, token), 0.0) + weight * prob
    return law


def distance(law: Law, target: Table, length: int) -> float:
    """Total variation between a law and the target's own."""
    total = 0.0
    for tokens in itertools.product(range(target.vocab_size), repeat=length):
        truth = 1.0
        for place, token in enumerate(tokens):
            truth *= target.probs(tokens[:place])[token].item()
        total += abs(truth - law.get(tokens, 0.0)) / 2
    return total
