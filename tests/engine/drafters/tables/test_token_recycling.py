"""Token Recycling: the paper's tree, what the table learns from a pass, and where it begins."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reciter import Reciter, block_efficiency, prose
from torch import Tensor
from toys import MAX_CONTEXT, Table, TableTarget, create, prompt_ids, session_of

from engine.config import GenerationConfig
from engine.drafters import corpus
from engine.drafters.base import Context, Room
from engine.drafters.tables.token_recycling import NUM_CHILDREN, K, TokenRecycling, successors, template
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree

TARGET = Reciter(prose(400))


def started(ids: list[int], **options: Any) -> tuple[TokenRecycling, Context]:
    drafter = create("token_recycling", TARGET, **options)
    assert isinstance(drafter, TokenRecycling)
    return drafter, session_of(drafter, ids)


# The tree


def test_the_tree_is_the_papers() -> None:
    shape = template(80, K)
    tree = DraftTree((0,) * 80, shape.nodes)
    assert [tree.depths.count(depth) for depth in range(1, 7)] == [8, 21, 25, 15, 8, 3]
    assert sum(not children for children in tree.children[1:]) == 40
    assert sum(NUM_CHILDREN.values()) == 80
    for children in tree.children:
        assert [shape.ranks[child] for child in children] == list(range(len(children)))


@pytest.mark.parametrize("num_nodes", [1, 7, 24, 60])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_a_smaller_tree_is_a_part_of_it(num_nodes: int, k: int) -> None:
    shape = template(num_nodes, k)
    assert len(shape.ranks) == len(shape.nodes) <= num_nodes
    assert max(shape.ranks) < k
    assert DraftTree((0,) * len(shape.nodes), shape.nodes).depths == tuple(
        depth + 1 for depth, level in enumerate(shape.depths) for _ in range(level.start, level.stop)
    )


def test_children_are_the_candidates_of_their_parents_token() -> None:
    drafter, context = started([5], reads_prompt=False)
    drafter.table[:-1] = np.arange(64)[:, None] * 0 + (np.arange(64)[:, None] * 3 + np.arange(K)) % 64
    tree = drafter.propose(context, Room(128))
    ranks = template(80, K).ranks
    for node, parent in enumerate(tree.parents):
        before = 5 if parent < 0 else tree.tokens[parent]
        assert tree.tokens[node] == (before * 3 + ranks[node]) % 64


def test_shapes_do_not_change_once_all_tokens_are_known() -> None:
    drafter, context = started([5], reads_prompt=False)
    drafter.table[:-1] = np.arange(K)
    assert {drafter.propose(context, Room(128)).parents for _ in range(3)} == {template(80, K).nodes}


def test_unknown_tokens_are_not_proposed() -> None:
    drafter, context = started([5], reads_prompt=False)
    assert len(drafter.propose(context, Room(128))) == 0
    drafter.table[5, :2] = (7, 8)
    drafter.table[8, 0] = 9
    tree = drafter.propose(context, Room(128))
    assert (tree.tokens, tree.parents) == ((7, 8, 9), (-1, -1, 1))


# What it learns


@pytest.mark.parametrize("learns_from", ["all", "path"])
def test_after_a_pass_the_rows_of_what_was_fed_are_their_fresh_candidates(learns_from: str, llama: Target) -> None:
    drafter = create("token_recycling", llama, learns_from=learns_from)
    assert isinstance(drafter, TokenRecycling)
    observe, seen = drafter.observe, []

    def watched(verdict: Any, emitted: Any, scored: Any) -> None:
        before = drafter.table.copy()
        observe(verdict, emitted, scored)
        tree = drafter.context.tree
        assert len(scored.logits) == len(tree) + 1
        fed = [drafter.context.ids[-len(emitted) - 1], *tree.tokens]
        rows = range(len(fed)) if learns_from == "all" else [0, *(node + 1 for node in verdict.path)]
        wanted = {fed[row]: scored.logits[row].topk(K).indices.tolist() for row in rows}  # the last one stays
        for token in range(len(before)):
            assert drafter.table[token].tolist() == wanted.get(token, before[token].tolist())
        seen.append(len(fed) > len(set(fed)))

    drafter.observe = watched  # type: ignore[method-assign]
    events = list(generate(llama, drafter, prompt_ids(9), GenerationConfig(max_new_tokens=40)))
    assert sum(isinstance(event, Stepped) for event in events) == len(seen)
    assert any(seen), "a token was fed twice in one pass"


class Bigrams(Table):
    """Each token has four likely followers; what came before it does not matter."""

    def __init__(self) -> None:
        self.vocab_size = 64
        self.logits = torch.full((64, 64), -9.0, dtype=torch.float64)
        rng = random.Random(0)
        for row in self.logits:
            row[rng.sample(range(64), 4)] = torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64).log()

    def row(self, ids: Sequence[int]) -> Tensor:
        return self.logits[ids[-1]]


def sampled_steps(num_tokens: int, **options: Any) -> list[Stepped]:
    target = TableTarget(Bigrams(), max_context=2000)
    drafter = create("token_recycling", target, reads_prompt=False, **options)
    config = GenerationConfig(max_new_tokens=num_tokens, temperature=1.0, has_detail=False)
    return [event for event in generate(target, drafter, [0], config) if isinstance(event, Stepped)]


def test_it_begins_slowly_and_learns() -> None:
    steps = sampled_steps(600)
    assert block_efficiency(steps[:8]) < 2 < 3 < block_efficiency(steps[-100:])


def test_rejected_nodes_teach_too() -> None:
    assert len(sampled_steps(60)) < len(sampled_steps(60, learns_from="path"))


def test_fewer_candidates_are_accepted_less_often() -> None:
    counts = [len(sampled_steps(300, k=k)) for k in (1, 2, 8)]
    assert counts[0] > counts[1] > counts[2]


# Where it begins


def test_the_prompts_successors_come_first_by_frequency() -> None:
    table = successors([1, 2, 1, 3, 1, 3, 1, 2, 1, 3], 5)
    assert table[1, :3].tolist() == [3, 2, -1]
    assert table[2, :2].tolist() == [1, -1]
    assert (table[[0, 4, 5]] == -1).all()


def test_a_second_session_with_the_first_ones_text_accepts_far_more(tmp_path: Path) -> None:
    """The warm start is given openly, as a file; no session inherits another's table unasked."""
    cold = sampled_steps(60)
    assert len(sampled_steps(60)) == len(cold)
    corpus.save(tmp_path / "seen.npz", [token.token_id for step in cold for token in step.emitted], TARGET.loaded)
    warm = sampled_steps(60, corpus=str(tmp_path / "seen.npz"))
    assert len(warm) < 0.7 * len(cold)


def test_a_session_writes_on_a_copy_of_the_corpus_table(tmp_path: Path) -> None:
    corpus.save(tmp_path / "seen.npz", prose(200), TARGET.loaded)
    first, _ = started([1], corpus=str(tmp_path / "seen.npz"))
    second, _ = started([1], corpus=str(tmp_path / "seen.npz"))
    before = second.table.copy()
    first.table[:] = 3
    assert (second.table == before).all()
    third, _ = started([1], corpus=str(tmp_path / "seen.npz"))
    assert (third.table == before).all()


def test_a_corpus_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="no corpus file"):
        started([1], corpus="/nowhere.txt")


def test_a_context_shorter_than_the_tree_is_deep_cuts_the_tree(llama: Target) -> None:
    prompt = prompt_ids(MAX_CONTEXT - 3)
    events = generate(llama, create("token_recycling", llama), prompt, GenerationConfig(max_new_tokens=9))
    steps = [event for event in events if isinstance(event, Stepped)]
    assert sum(len(step.emitted) for step in steps) == 3
