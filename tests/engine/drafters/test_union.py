"""Two drafters whose trees are verified as one: what the union is, that it is exact, and what each of the two sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from coins import Coins, distance, drawn_tree, law_of, rows_of, tokens_of, toss
from toys import ScriptedDrafter, Table, create, finished, greedy_text, output_ids, prompt_ids, right, steps_of, wrong

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context, Needs, Room
from engine.drafters.union import WithUnion, led_by, ordered, united
from engine.draws import Scheme
from engine.errors import BadInput, RunFailed
from engine.events import Stepped
from engine.loop import generate
from engine.runtime.extra import ExtraRows
from engine.target import Scored, Target
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Verdict
from engine.verify.rejection import Rejection

PROMPT = [*prompt_ids(9), *prompt_ids(9), *prompt_ids(5, seed=2)]
SAMPLED: dict[str, Any] = {"temperature": 0.9, "seed": 3}
SECONDS = [name for name in drafters.names() if name not in ("plain", "prompt_lookup")]
PAIRS = [*(("prompt_lookup", second) for second in SECONDS), ("token_recycling", "jacobi"), ("stand", "lookahead")]
pytestmark = pytest.mark.usefixtures("draft_models")

# Root ─ 0: 1 ─ 1: 2        Root ─ 0: 3
#      └ 2: 4                    └ 1: 1 ─ 2: 2 ─ 3: 7
#                                       └ 4: 5
FIRST = DraftTree((1, 2, 4), (-1, 0, -1))
SECOND = DraftTree((3, 1, 2, 7, 5), (-1, -1, 1, 2, 1), draft_probs=(0.4, 0.3, 0.2, 0.1, 0.05))


def run(target: Target, drafter: WithUnion, num_tokens: int = 30, **settings: Any) -> list[Any]:
    return list(generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=num_tokens, **settings)))


# What a union is


def test_nodes_that_say_the_same_are_one_and_the_first_trees_come_first() -> None:
    both = united(FIRST, SECOND)
    assert both.tokens == (1, 2, 4, 3, 7, 5)
    assert both.parents == (-1, 0, -1, -1, 1, 0)
    assert both.draft_probs == (0.3, 0.2, None, 0.4, 0.1, 0.05)
    assert united(EMPTY_TREE, SECOND) is SECOND
    assert united(FIRST, EMPTY_TREE) is FIRST
    assert united(EMPTY_TREE, EMPTY_TREE) is EMPTY_TREE


def test_either_tree_leads_under_its_own_numbers() -> None:
    both = united(FIRST, SECOND)
    assert led_by(both, FIRST) == (0, 1, 2, 3, 4, 5)
    seen = ordered(both, led_by(both, SECOND))
    assert (seen.tokens[:5], seen.parents[:5]) == (SECOND.tokens, SECOND.parents)
    assert (seen.tokens[5:], seen.parents[5:]) == ((4,), (-1,))
    cut = both.pruned(4, 9)
    assert ordered(cut, led_by(cut, SECOND)).tokens == (3, 1, 2, 4), "what the loop has cut is not there"


class Ahead:
    """One step that looks ahead."""

    layers = (1,)

    def states(self, steps: tuple[int, ...], owners: torch.Tensor) -> torch.Tensor:
        return owners


def test_rows_that_look_ahead_do_so_from_where_their_nodes_stand() -> None:
    extra = ExtraRows(Ahead(), (-1, 3), (1, 1))
    both = united(FIRST, dataclasses.replace(SECOND, extra=extra))
    assert both.extra is not None
    assert both.extra.owners == (-1, 4)
    assert united(EMPTY_TREE, DraftTree(extra=extra)).extra is extra
    with pytest.raises(RunFailed, match="both have rows that look ahead"):
        united(DraftTree(extra=extra), DraftTree(extra=extra))


@pytest.mark.parametrize("schemes", [("iid", "without_replacement"), ("without_replacement", "conditional")])
def test_a_union_of_drawn_trees_is_exact_under_rejection(schemes: tuple[Scheme, Scheme]) -> None:
    """Every outcome of every coin; the two agree in some of them, so that a node is drawn by both."""
    target, tables = Table(3, seed=1), (Table(3, seed=2), Table(3, seed=3))

    def emit(coins: Coins, most: int = 9) -> tuple[int, ...]:
        parents = (-1, -1), (-1, 0)
        trees = [
            drawn_tree(shape, table, coins, scheme, is_replaced=scheme != "without_replacement")
            for shape, table, scheme in zip(parents, tables, schemes, strict=True)
        ]
        tree = united(*trees).pruned(most, 9)
        return tokens_of(tree, toss(Rejection(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, 3), target, 3) < 1e-9
    assert distance(law_of(lambda coins: emit(coins, 2), target, 3), target, 3) < 1e-9


def test_a_drawn_tree_and_one_that_is_chosen_cannot_be_one() -> None:
    drawn = chain([1], drawn_from=torch.tensor([[0.5, 0.5]]))
    with pytest.raises(RunFailed, match="only one says what it was drawn from"):
        united(drawn, FIRST)


# In a session


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize(("name", "second"), PAIRS)
def test_the_text_is_that_of_plain_decoding(name: str, second: str, settings: dict[str, Any], llama: Target) -> None:
    found = run(llama, WithUnion(create(name, llama), create(second, llama)), **settings)
    assert output_ids(found) == greedy_text(llama, PROMPT, 30, **settings)[len(PROMPT) :]
    assert {step.proposed_by for step in steps_of(found)} <= {None, name, second, f"{name} + {second}"}


def test_under_rejection_both_say_what_they_drew_from(llama: Target) -> None:
    sampled: dict[str, Any] = {"temperature": 1.0, "rule": "rejection"}
    jacobi = create("jacobi", llama)
    found = run(llama, WithUnion(jacobi, create("draft_model", llama)), **sampled)
    assert finished(found).reason == "length", finished(found).message
    assert any(step.proposed_by == "jacobi + draft_model" for step in steps_of(found))
    with pytest.raises(BadInput, match="needs sampled drafts"):
        run(llama, WithUnion(jacobi, create("prompt_lookup", llama)), **sampled)


def test_two_trees_in_one_are_neither_a_chain_nor_of_one_law(llama: Target) -> None:
    both = WithUnion(create("draft_model", llama), create("draft_model", llama))
    for rule in ("k_seq", "with_replacement", "block_verification"):
        with pytest.raises(BadInput, match=r"draws otherwise .* node_sampling, likeliest_drafts, rejection"):
            run(llama, both, temperature=1.0, rule=rule)


def test_a_step_goes_as_far_as_the_better_of_the_two(llama: Target) -> None:
    text = greedy_text(llama, PROMPT, 30)
    for scripts in ((right(text, 2), wrong(text, 60)), (wrong(text, 60), right(text, 2))):
        found = run(llama, WithUnion(*map(ScriptedDrafter, scripts)))
        assert output_ids(found) == text[len(PROMPT) :]
        assert {len(step.path) for step in steps_of(found)[:-1]} == {2}


class Watcher(ScriptedDrafter):
    """Notes what it is told, against what it is to be."""

    needs = Needs(hidden_layers=(-1,))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        assert scored.hidden is not None
        tree, own = self.context.tree, self.own
        assert (tree.tokens[: len(own)], tree.parents[: len(own)]) == (own.tokens, own.parents)
        assert [tree.tokens[node] for node in verdict.path] == list(emitted[: len(verdict.path)])
        path = (-1, *verdict.path)
        likely = [int(scored.logits[node + 1].argmax()) for node in path]
        assert likely[: len(emitted)] == list(emitted)
        assert len(scored.hidden[0]) == len(tree) + 1
        self.ends = [*getattr(self, "ends", []), scored.hidden[0][path[-1] + 1]]

    def propose(self, context: Context, room: Room) -> DraftTree:
        self.own = super().propose(context, room).pruned(room.nodes, room.depth)
        return self.own


def test_either_sees_the_step_as_if_the_tree_were_its_own_with_more_behind_it(llama: Target) -> None:
    text = greedy_text(llama, PROMPT, 30)

    def forked(depth: int, odd: int) -> Any:
        """Right for `depth` tokens at every third place, beside a wrong token."""

        def script(context: Context, budget: int) -> DraftTree:
            place = len(context.ids)
            truth = text[place : place + (depth if place % 3 != odd else 0)]
            return united(chain([(text[place - 1] + 1) % 60]), chain(truth))

        return script

    first, second = Watcher(forked(1, 0)), Watcher(forked(3, 1))
    found = run(llama, WithUnion(first, second))
    assert output_ids(found) == text[len(PROMPT) :]
    assert len(first.ends) == len(steps_of(found))
    assert all(torch.equal(*pair) for pair in zip(first.ends, second.ends, strict=True)), "the same place"
    assert {len(step.path) for step in steps_of(found)} >= {1, 3}


def test_a_draft_model_keeps_the_rows_of_its_own_nodes(llama: Target) -> None:
    drafter: Any = create("prompt_lookup", llama, fallback="draft_model", union=True, **{"fallback.width": 2})
    runner, ids = drafter.second.runner, list(PROMPT)
    for event in generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=40)):
        if not isinstance(event, Stepped):
            continue
        ids += [token.token_id for token in event.emitted]
        fresh = type(runner)(runner.model, runner.max_context, is_row_invariant=False)
        fresh.prefill(ids[: runner.num_committed])
        torch.testing.assert_close(runner.kv(1)[0], fresh.kv(1)[0], atol=1e-4, rtol=1e-4)


def test_a_union_is_asked_for_by_an_option(llama: Target) -> None:
    given = {"fallback": "draft_model", "fallback.depth": 2, "union": True}
    drafter = create("prompt_lookup", llama, **given)
    assert isinstance(drafter, WithUnion)
    assert given.items() <= drafter.settings.items()
    assert drafter.needs.draft_model
    assert not isinstance(create("prompt_lookup", llama, fallback="draft_model"), WithUnion)


def test_the_two_share_the_room() -> None:
    asked: list[Room] = []

    class Noting(ScriptedDrafter):
        def propose(self, context: Context, room: Room) -> DraftTree:
            asked.append(room)
            return chain(range(room.chain))

    both = WithUnion(ScriptedDrafter(lambda context, budget: chain([7, 8, 9])), Noting(right([])))
    context: Any = None
    assert len(both.propose(context, Room(5, 4))) == 5
    assert asked == [Room(2, 4)]


def test_jacobi_keeps_guessing_behind_what_was_accepted_of_its_window(llama: Target) -> None:
    """Another's tree behind its window does not end it."""
    nobody = ScriptedDrafter(lambda context, budget: chain([(context.ids[-1] + 1) % 60]))
    alone = run(llama, create("jacobi", llama))  # type: ignore[arg-type]
    for pair in ((nobody, create("jacobi", llama)), (create("jacobi", llama), nobody)):
        assert len(steps_of(run(llama, WithUnion(*pair)))) <= len(steps_of(alone))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"union": True}, "union is of two methods, and copyspec is given no fallback"),
        ({"fallback": "prompt_lookup", "fallback.union": True}, "two methods are the most"),
    ],
)
def test_a_union_is_of_two(given: dict[str, Any], sentence: str, llama: Target) -> None:
    with pytest.raises(BadInput, match=sentence):
        create("copyspec", llama, **given)
