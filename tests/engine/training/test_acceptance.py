"""Which steps of a session count when a tree's acceptance is measured."""

from __future__ import annotations

from engine.events import Emitted, Node, Stepped
from engine.training.acceptance import unlimited


def step(number: int, parents: tuple[int, ...], num_emitted: int) -> Stepped:
    nodes = tuple(Node(1, "a", parent, "rejected") for parent in parents)
    emitted = (Emitted(1, "a", "correction"),) * num_emitted
    return Stepped(number, 0, nodes, (), emitted, 0, 0, 0, 0, 0, 0)


def test_a_step_counts_unless_a_limit_cut_it_whatever_the_size_of_its_tree() -> None:
    """Ten tokens, trees at most two deep: the step with two tokens left was cut, and so was the last."""
    trees = [(), (-1, 0), (-1,), (-1, 0, 0), (-1,), ()]
    steps = [step(i, tree, n) for i, (tree, n) in enumerate(zip(trees, (1, 3, 2, 2, 1, 1), strict=True))]
    assert unlimited(steps, 10) == steps[:4]


def test_without_drafts_all_but_the_last_step_count() -> None:
    steps = [step(i, (), 1) for i in range(4)]
    assert unlimited(steps, 4) == steps[:3]
