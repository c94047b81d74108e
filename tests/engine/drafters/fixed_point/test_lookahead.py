"""Lookahead: who sees whom in the window, how it moves, what the pool keeps, and what a wider window brings."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from toys import MAX_CONTEXT, Table, TableTarget, create, greedy_text, prompt_ids, session_of, stock, stock_logits

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.fixed_point.lookahead import Lookahead, Pool, Window, most_nodes
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.sampling import warp
from engine.target import Scored, Target
from engine.tree import MAX_BUDGET, DraftTree, GrowingTree
from engine.verify import Verdict
from engine.verify.base import match

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
    tree = GrowingTree()
    window = Window(levels, tree)
    return window, tree.grown()


def test_a_row_sees_what_the_papers_mask_lets_it_see(llama: Target) -> None:
    """An independent oracle: the logits of each row equal a plain pass over root, level 0 and its own column."""
    context = prompt_ids(10)
    other = random.Random(2).sample(range(64), W * (N - 1) - 1)
    levels = [other[: W - 1], *(other[W * level - 1 : W * (level + 1) - 1] for level in range(1, N - 1))]
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
    context = session_of(drafter, [1, 2, 3])
    assert [len(level) for level in drafter.levels] == [W + N - 3]
    for wanted in ([4, 5], [3, 4, 4], [3, 4, 4], [3, 4, 4]):
        before = [list(level) for level in drafter.levels]
        context.tree = tree = drafter.propose(context, Room(128))
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
    context = session_of(drafter, [1, 2, 3])
    tree = drafter.propose(context, Room(128))
    before = [list(level) for level in drafter.levels]
    context.tree = tree.pruned(2, 1)
    context.ids.append(9)
    drafter.observe(Verdict((), 9, "correction"), [9], Scored(torch.zeros(3, 64), None))
    assert drafter.levels == before
    assert len(drafter.propose(context, Room(3))) <= 3


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
    context = session_of(drafter, [1, 2, 3, 4, 5, 1])
    tree = drafter.propose(context, Room(128))
    texts = {tuple(tree.tokens[i] for i in tree.path_to(node)) for node in range(len(tree))}
    assert (2, 3, 4) in texts, "the n-gram of the prompt that began with the root's token"


def test_candidates_that_begin_like_the_window_or_each_other_share_their_nodes() -> None:
    """Equal siblings would hide each other: the longest match wins, whichever was found first."""
    drafter = made(TableTarget(Table(64)), reads_text=False)
    context = session_of(drafter, [1, 2, 3])
    drafter.levels = [[10, 11, 12, 13, 14]]
    for rest in ((20, 21, 22), (20, 21, 23), (10, 11, 30)):
        drafter.pool.add(3, rest)
    tree = drafter.propose(context, Room(64))
    assert len(set(zip(tree.parents, tree.tokens, strict=True))) == len(tree) == 5 + 1 + 4
    for text in ((10, 11, 30), (10, 11, 12, 13, 14), (20, 21, 22), (20, 21, 23)):
        followed, node = [], -1
        while len(followed) < len(text) and (child := match(tree, node, text[len(followed)])) is not None:
            followed.append(tree.tokens[child])
            node = child
        assert tuple(followed) == text
    sizes = [len(drafter.propose(context, Room(budget))) for budget in (8, 9, 10)]
    assert sizes == [6, 9, 10], "what the budget lets in is counted in new nodes, not in tokens"


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("penalty", [1.0, 1.5])
def test_a_column_goes_on_as_the_target_would_at_its_place(temperature: float, penalty: float) -> None:
    """With the noise of that place, and the penalty on the text and on the column's own tokens."""
    config = GenerationConfig(temperature=temperature, repetition_penalty=penalty, seed=5)
    drafter = made(TableTarget(Table(64)), reads_text=False)
    context = Context([1, 2, 3], config, Noise(5))
    drafter.start(context)
    drafter.levels = [[10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33]]
    context.tree = tree = drafter.propose(context, Room(64))
    logits = torch.rand(len(tree) + 1, 64, generator=torch.Generator().manual_seed(2)) + 1
    logits[:, 3] = logits[:, 31] = 2.5  # likeliest where no penalty holds them down
    context.ids += [40, 41]
    drafter.observe(Verdict((), 40, "correction"), [40, 41], Scored(logits, None))
    for i, last in enumerate((30, 31, 32, 33)):
        row = tree.tokens.index(last) + 1
        column = [tree.tokens[node] for node in tree.path_to(row - 1)]
        probs = warp(logits[row : row + 1], config, [[1, 2, 3, *column]])[0]
        wanted = context.noise.draw(probs, 3 + 3 + i - 1) if temperature else probs.argmax()
        assert drafter.levels[-1][i] == wanted


def test_a_window_that_no_step_can_hold_is_refused() -> None:
    target = TableTarget(Table(5), max_context=1000)
    for window, ngram, num_nodes in ((32, 6, 159), (60, 8, 419), (8, 16, 131)):
        with pytest.raises(BadInput, match=f"takes {num_nodes} nodes, and a step drafts at most {MAX_BUDGET}"):
            made(target, window=window, ngram=ngram)


@pytest.mark.parametrize(("window", "ngram"), [(2, 3), (2, 16), (7, 5), (7, 16), (64, 3), (18, 8)])
def test_an_accepted_window_runs_and_is_never_larger_than_was_said(window: int, ngram: int) -> None:
    drafter = made(TableTarget(Table(9), max_context=1000), window=window, ngram=ngram, reads_text=False)
    context = session_of(drafter, [1, 2, 3])
    sizes = []
    for _ in range(ngram + 1):
        sizes.append(sum(map(len, drafter.levels)))
        context.tree = tree = drafter.propose(context, Room(MAX_BUDGET))
        context.ids.append(4)
        drafter.observe(Verdict((), 4, "correction"), [4], Scored(torch.rand(len(tree) + 1, 9), None))
    assert max(sizes) == most_nodes(window, ngram) <= MAX_BUDGET
    assert sizes[-1] == window * (ngram - 1) - 1, "all levels are there, and the window moves"


def test_the_budget_of_rows_is_the_papers(llama: Target) -> None:
    drafter = made(llama, window=7, ngram=5, candidates=7)
    sizes = {len(step.nodes) for step in steps_of(llama, prompt_ids(30), drafter, 60)}
    assert max(sizes) <= (7 + 7) * 4 - 1


def test_a_wider_window_takes_fewer_steps() -> None:
    counts = []
    for window in (2, 8, 16):
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
