"""How many nodes pay: free rows give the whole tree, dear ones few or none; what is seen decides, and stays seen."""

from __future__ import annotations

from typing import Any

import pytest
from reciter import Reciter, block_efficiency, prose, recite
from toys import Table, TableTarget, create, greedy_text, output_ids, prompt_ids

from engine import drafters, options
from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.drafters.base import Drafter
from engine.drafters.budget import EXPLORE_EVERY, FREE, MeasuredBudget
from engine.drafters.tables.stand.shape import TREE, usefulness
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree, chain

DEAR = Costs.known([1.0 + 0.5 * n for n in range(129)])
MILD = Costs.known([1.0 + 0.02 * n for n in range(129)])
FITTED = [
    name
    for name in drafters.names()
    if any(spec.name == "budget" and spec.choices for spec in options.specs(drafters.get(name).Options))
]
every_fitted_method = pytest.mark.parametrize("name", FITTED)
pytestmark = pytest.mark.usefixtures("draft_models")
PROMPT = [*prompt_ids(9), *prompt_ids(9), *prompt_ids(5)]


def told(budget: MeasuredBudget, num_offered: int, path: list[int]) -> None:
    budget.learn(budget.offer(chain(range(num_offered))), path)


# The budget


def test_the_budget_follows_costs_and_acceptance() -> None:
    free, dear = MeasuredBudget([1.0] * 17, 16), MeasuredBudget([1.0 + n for n in range(17)], 16)
    assert free.choose() == 16
    assert dear.choose() == 0
    learning = MeasuredBudget([1.0 + 0.1 * n for n in range(17)], 16)
    for _ in range(200):
        told(learning, 16, [0, 1, 2])
    chosen = [learning.choose() for _ in range(EXPLORE_EVERY)]
    assert chosen.count(3) == EXPLORE_EVERY - 1
    assert chosen.count(8) == 1, "now and then it looks again at what it leaves out, for half a pass more"


def test_free_rows_are_taken_whatever_was_refused() -> None:
    budget = MeasuredBudget()
    for _ in range(2000):
        told(budget, 128, [])
    assert {budget.choose() for _ in range(30)} == {128}


def test_nodes_that_were_not_offered_are_not_counted_as_refused() -> None:
    budget = MeasuredBudget([1.0 + 0.08 * n for n in range(5)], 4)
    assert budget.choose() == 4
    for _ in range(94):
        told(budget, 2, [0, 1])
    # Of the two behind nothing new is known: 0.5 · 0.8² and 0.5 · 0.8³, which still pay.
    assert budget.choose() == 4


def test_only_nodes_that_could_be_drafted_are_reckoned_with() -> None:
    budget = MeasuredBudget([1.0 + 0.2 * n for n in range(9)], 8)
    for _ in range(200):
        told(budget, 8, [6, 7])
    assert budget.choose([0, 1, 2]) == 0
    assert budget.choose([2, 6, 7]) == 3, "two that are sure carry one before them"
    assert budget.choose([]) == 0


def test_the_best_nodes_of_a_tree_are_kept_with_their_parents() -> None:
    budget = MeasuredBudget([1.0 + 0.05 * n for n in range(9)], 8)
    tree = DraftTree((5, 6, 7, 8), (-1, -1, 0, 1))
    for _ in range(300):
        budget.learn(budget.offer(tree, {0: 0, 1: 2, 2: 1, 3: 3}), [0, 2])
    kept = budget.fitted(tree, [0, 2, 1, 3])
    assert (kept.tokens, kept.parents) == ((5, 7), (-1, 0))
    assert budget.is_own(chain([5, 7])), "a tree of the same tokens and parents"
    assert budget.is_own(DraftTree((5, 7, 9), (-1, 0, -1))), "and more behind them, of another drafter's"
    assert not budget.is_own(chain([5, 6])), "another drafter's"
    before = budget.choose(range(4))
    budget.learn(chain([5, 6]), [0, 1])
    assert budget.choose(range(4)) == before
    assert not budget.is_own(kept), "of a step that is over"


# Methods that are fitted


@every_fitted_method
def test_dear_rows_are_few_and_free_rows_are_the_papers(name: str) -> None:
    text = [*prose(150), *prose(150)]
    given: dict[str, Any] = {"width": 3, "min_confidence": 0.0} if name in ("draft_model", "pard") else {}
    sizes = {}
    for key, costs, more in (
        ("dear", DEAR, {}),
        ("fixed", DEAR, {"budget": "fixed"}),
        ("free", Costs.known(FREE), {}),
    ):
        target = Reciter(text)
        drafter = drafters.create(name, {**given, **more}, target, costs)
        steps = recite(text, 140, drafter)
        sizes[key] = [len(step.nodes) for step in steps]
    assert sizes["free"] == sizes["fixed"], "where rows are free the tree is the paper's in every step"
    assert sum(sizes["dear"]) / len(sizes["dear"]) < sum(sizes["fixed"]) / len(sizes["fixed"])
    assert max(sizes["dear"][:5]) <= 2


@every_fitted_method
@pytest.mark.parametrize("costs", [DEAR, MILD], ids=["dear", "mild"])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "seed": 3}], ids=["greedy", "sampled"])
def test_the_text_does_not_hang_on_what_rows_cost(
    name: str, costs: Costs, settings: dict[str, Any], llama: Target
) -> None:
    text = greedy_text(llama, PROMPT, 30, **settings)[len(PROMPT) :]
    given: dict[str, Any] = {"width": 3} if name in ("draft_model", "pard") else {}
    drafter = drafters.create(name, given, llama, costs)
    assert output_ids(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=30, **settings))) == text


@pytest.mark.parametrize("name", ["stand", "jacobi"])
def test_where_a_seeds_text_hangs_on_the_draft_it_does_not_hang_on_the_machine(name: str) -> None:
    target = TableTarget(Table(12, seed=3), max_context=200)
    config = GenerationConfig(max_new_tokens=60, temperature=1.0, rule="rejection", has_detail=False)
    texts = [
        output_ids(generate(target, drafters.create(name, {}, target, costs), [0, 1, 0, 1], config))
        for costs in (DEAR, Costs.known(FREE))
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["token_recycling", "sam_decoding"])
def test_what_is_accepted_is_drafted_although_rows_cost(name: str) -> None:
    """A repeated text: at two hundredths a row all of it pays, and as many steps are taken as with the whole tree."""
    text = [*prose(100), *prose(100), *prose(100)]
    target = Reciter(text)
    fitted, whole = (
        block_efficiency(recite(text, 100, drafters.create(name, {}, target, costs)))
        for costs in (MILD, Costs.known(FREE))
    )
    assert fitted > 0.75 * whole


def test_a_window_runs_where_it_pays_and_not_where_rows_are_dear(llama: Target) -> None:
    for costs, is_run in ((DEAR, False), (MILD, True)):
        drafter: Any = drafters.create("lookahead", {"reads_text": False}, llama, costs)
        events = generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=24, has_detail=False))
        assert output_ids(events)
        assert (len(drafter.levels) > 1) is is_run


def test_a_smaller_tree_of_stand_keeps_parents_and_first_children() -> None:
    ordered = sorted(TREE, key=lambda path: (len(path), path))
    place = dict(zip(ordered, usefulness(TREE), strict=True))
    assert sorted(place.values()) == list(range(80))
    for path in ordered:
        assert len(path) == 1 or place[path[:-1]] < place[path]
        assert all(place[path] < place[other] for other in ordered if other[:-1] == path[:-1] and other > path)


def test_a_budget_is_measured_where_it_is_no_number_of_its_own(llama: Target) -> None:
    """Of every method in the registry; and one that is fitted takes what passes cost."""
    budgets = {
        name: spec
        for name in drafters.names()
        for spec in options.specs(drafters.get(name).Options)
        if spec.name == "budget"
    }
    assert len(FITTED) > 1
    for name, spec in budgets.items():
        assert spec.choices == ("measured", "fixed") if name in FITTED else spec.type is int and spec.high, name
        assert name not in FITTED or drafters.get(name).fit is not Drafter.fit, name
    assert create("medusa", llama).options.budget == 12
