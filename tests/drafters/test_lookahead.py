"""Lookahead: who sees whom in the window, how it moves, what the pool keeps, and what a wider window brings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import MAX_CONTEXT, Table, TableTarget, create, greedy_text, prompt_ids, stock, stock_logits

from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.drafters.lookahead import Lookahead, Pool, Window
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.sampling import Noise
from engine.target import Scored, Target
from engine.tree import DraftTree
from engine.verify import Verdict

W, N = 4, 4


def made(target: Target, **options: Any) -> Lookahead:
    drafter = create("lookahead", target, **{"window": W, "ngram": N, "candidates": 3, **options})
    assert isinstance(drafter, Lookahead)
    return drafter


def steps_of(target: Target, prompt: list[int], drafter: Lookahead, num_tokens: int, **settings: Any) -> list[Stepped]:
    config = GenerationConfig(max_new_tokens=num_tokens, has_detail=False, **settings)
    return [event for event in generate(target, drafter, prompt, config) if isinstance(event, Stepped)]


# The window


def window_of(levels: list[list[int]]) -> tuple[Window, DraftTree]:
    tokens: list[int] = []
    parents: list[int] = []
    window = Window(levels, tokens, parents)
    return window, DraftTree(tuple(tokens), tuple(parents))


def test_a_row_sees_what_the_papers_mask_lets_it_see(llama: Target) -> None:
    """An independent oracle: the logits of each row equal a plain pass over root, level 0 and its own column."""
    context = prompt_ids(10)
    levels = [prompt_ids(W - 1, seed=2), *(prompt_ids(W, seed=3 + level) for level in range(N - 2))]
    _, tree = window_of(levels)
    assert len(tree) == W * (N - 1) - 1
    llama.prefill(context[:-1])
    logits = llama.score(context[-1], tree).logits
    seen = [levels[0][: i + 1] for i in range(W - 1)]
    seen += [
        [*levels[0][:i], *(level[i] for level in levels[1 : last + 1])] for i in range(W) for last in range(1, N - 1)
    ]
    for row, visible in enumerate(seen, start=1):
        wanted = stock_logits(stock("llama"), [*context, *visible])[-1]
        torch.testing.assert_close(logits[row], wanted, atol=1e-4, rtol=1e-4)


def test_offsets_are_those_of_the_paper() -> None:
    levels = [[10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33]]
    window, tree = window_of(levels)
    offset = dict(zip(tree.tokens, tree.depths, strict=True))
    assert [offset[token] for token in levels[0]] == [1, 2, 3]
    assert [offset[token] for token in levels[1]] == [1, 2, 3, 4]
    assert [offset[token] for token in levels[2]] == [2, 3, 4, 5]
    assert [tree.tokens[end] for end in window.ends] == levels[2]


def test_the_window_fills_a_level_a_step_and_then_moves_by_one() -> None:
    """Rows answer 40 + depth, so each new token says which row it came from."""
    target = TableTarget(Table(64))
    drafter = made(target, reads_text=False)
    context = Context([1, 2, 3], GenerationConfig(), Noise(0))
    drafter.start(context)
    assert [len(level) for level in drafter.levels] == [W + N - 3]
    for wanted in ([4, 5], [3, 4, 4], [3, 4, 4], [3, 4, 4]):
        before = [list(level) for level in drafter.levels]
        context.tree = tree = drafter.propose(context, 128)
        logits = torch.zeros(len(tree) + 1, 64)
        for row, depth in enumerate((0, *tree.depths)):
            logits[row, 40 + depth] = 1
        root_id = context.root_id
        context.ids.append(9)
        drafter.observe(Verdict((), 9, "correction"), [9], Scored(logits, None))
        assert [len(level) for level in drafter.levels] == wanted
        newest = drafter.levels[-1]
        first = 40 + len(before) - 1
        if len(before) < N - 1:
            assert newest == [first + 1 + i for i in range(len(newest))]
            assert drafter.levels[:-1] == [level[1:] for level in before]
            assert not drafter.pool.get(root_id)
        else:
            assert newest == [first + i for i in range(W)]
            assert drafter.levels[:-1] == [before[1][1:], *before[2:]]
            assert drafter.pool.get(root_id)[0] == (*(level[0] for level in before[1:]), newest[0])
            keys = [before[0][i - 1] for i in range(1, W)]
            for i, key in enumerate(keys, start=1):
                assert (*(level[i] for level in before[1:]), newest[i]) in drafter.pool.get(key)


def test_a_window_that_was_cut_off_or_not_in_the_pass_stays() -> None:
    drafter = made(TableTarget(Table(64)))
    context = Context([1, 2, 3], GenerationConfig(), Noise(0))
    drafter.start(context)
    tree = drafter.propose(context, 128)
    before = [list(level) for level in drafter.levels]
    context.tree = tree.pruned(2, 1)
    context.ids.append(9)
    drafter.observe(Verdict((), 9, "correction"), [9], Scored(torch.zeros(3, 64), None))
    assert drafter.levels == before
    assert len(drafter.propose(context, 3)) <= 3


def test_another_start_of_the_window_gives_the_same_text(llama: Target) -> None:
    prompt = prompt_ids(12)
    text = greedy_text(llama, prompt, 40)[12:]
    for seed in range(4):
        steps = steps_of(llama, prompt, made(llama), 40, seed=seed)
        assert [token.token_id for step in steps for token in step.emitted] == text


# The pool


def test_the_pool_forgets_what_was_found_least_recently() -> None:
    pool = Pool(2)
    pool.add(1, (2, 3))
    pool.add(1, (4, 5))
    pool.add(1, (2, 3))
    pool.add(1, (6, 7))
    assert pool.get(1) == [(6, 7), (2, 3)]
    assert pool.get(2) == []


def test_a_candidate_that_is_right_gives_all_its_tokens_and_one_more() -> None:
    drafter = made(TableTarget(Table(64)))
    context = Context([1, 2, 3, 4, 5, 1], GenerationConfig(), Noise(0))
    drafter.start(context)
    tree = drafter.propose(context, 128)
    assert tree.tokens[-3:] == (2, 3, 4), "the n-gram of the prompt that began with the root's token"
    assert tree.parents[-3:] == (-1, len(tree) - 3, len(tree) - 2)


def test_the_budget_of_rows_is_the_papers(llama: Target) -> None:
    drafter = made(llama, window=7, ngram=5, candidates=7)
    sizes = {len(step.nodes) for step in steps_of(llama, prompt_ids(30), drafter, 60)}
    assert max(sizes) <= (7 + 7) * 4 - 1


def test_a_wider_window_takes_fewer_steps() -> None:
    counts = []
    for window in (2, 4, 8, 16):
        counts.append(0)
        for seed in range(6):
            target = TableTarget(Table(12, seed=seed, sharpness=3.0), max_context=400)
            drafter = made(target, window=window, candidates=8, reads_text=False)
            counts[-1] += len(steps_of(target, [0, 1, 2], drafter, 100, temperature=1.0, seed=seed))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 0.9 * counts[0] < 0.9 * 600


def test_a_window_larger_than_the_context_is_refused() -> None:
    target = TableTarget(Table(5), max_context=12)
    with pytest.raises(BadInput, match="12 tokens ahead, and this model's context holds 12"):
        made(target, window=10, ngram=4)
    made(target, window=9, ngram=4)
    assert MAX_CONTEXT > 12
