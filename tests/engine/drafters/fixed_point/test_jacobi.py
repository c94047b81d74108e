"""Jacobi: whose row renews which guess, the fixed point, and the law of its speculative form."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from reciter import Reciter, prose
from toys import Table, TableTarget, assert_fits, create, greedy_text, output_ids, prompt_ids, session_of

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.fixed_point.jacobi import Guess, Jacobi
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.sampling import warp
from engine.target import Scored, Target
from engine.verify import Verdict

RULES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "node_sampling": {"temperature": 0.8},
    "rejection": {"temperature": 0.8, "rule": "rejection"},
}


def made(target: Target, **options: Any) -> Jacobi:
    drafter = create("jacobi", target, **options)
    assert isinstance(drafter, Jacobi)
    return drafter


def num_steps(target: Target, drafter: Jacobi, num_tokens: int = 60, **settings: Any) -> int:
    config = GenerationConfig(max_new_tokens=num_tokens, has_detail=False, **settings)
    events = list(generate(target, drafter, [0, 1, 2], config))
    assert len(output_ids(events)) == num_tokens
    return sum(isinstance(event, Stepped) for event in events)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("num_accepted", [0, 2, 5])
def test_the_guess_of_a_place_comes_from_the_row_before_it(rule: str, num_accepted: int) -> None:
    """The off-by-one test: guess i is renewed, and judged, by the logits behind guess i - 1."""
    config = GenerationConfig(**RULES[rule])
    drafter = made(TableTarget(Table(9)), window=6)
    context = Context([1, 2, 3], config, Noise(4))
    drafter.start(context)
    drafter._vocab_size = 9
    context.tree = tree = drafter.propose(context, Room(64))
    assert len(tree) == 6
    logits = torch.randn(7, 9, generator=torch.Generator().manual_seed(1))
    emitted = [*tree.tokens[:num_accepted], 8]
    context.ids.extend(emitted)
    drafter.observe(Verdict(tuple(range(num_accepted)), 8, "correction"), emitted, Scored(logits, None))
    after = drafter.propose(context, Room(64))
    probs = warp(logits, config)
    for i in range(6 - num_accepted):
        row = num_accepted + 1 + i  # predicts the place behind guess `row - 1`
        if rule == "greedy":
            assert after.tokens[i] == probs[row].argmax()
        elif rule == "node_sampling":
            assert after.tokens[i] == context.noise.draw(probs[row], 3 + row)
        else:
            assert after.draws is not None
            torch.testing.assert_close(after.draws.rows[i], probs[row])
    assert len(after) == 6
    if rule == "rejection":
        assert after.draws is not None
        firsts = after.draws.rows[6 - num_accepted :]
        assert firsts.tolist() == torch.eye(9)[list(after.tokens[6 - num_accepted :])].tolist()


@pytest.mark.parametrize("start_from", ["ngram", "repeat", "random"])
def test_where_first_guesses_come_from(start_from: str) -> None:
    drafter = made(TableTarget(Table(9)), window=4, start_from=start_from)
    context = session_of(drafter, [1, 2, 3, 4, 1, 2])
    tokens = list(drafter.propose(context, Room(64)).tokens)
    wanted = {"ngram": [3, 4, 1, 2], "repeat": [2, 2, 2, 2]}
    assert tokens == wanted.get(start_from, tokens)
    assert set(tokens) <= {1, 2, 3, 4}


def test_near_temperature_zero_it_is_greedy_decoding(llama: Target) -> None:
    prompt = prompt_ids(9)
    text = greedy_text(llama, prompt, 30)[9:]
    for settings in ({}, {"temperature": 1e-4}, {"temperature": 1e-4, "rule": "rejection"}):
        config = GenerationConfig(max_new_tokens=30, **settings)  # type: ignore[arg-type]
        assert output_ids(generate(llama, made(llama), prompt, config)) == text


@pytest.mark.parametrize("options", [{}, {"keep_above": 0.0}, {"keep_above": 0.5}, {"start_from": "random"}], ids=str)
def test_the_speculative_form_keeps_the_law_of_the_first_tokens(options: dict[str, Any]) -> None:
    """Four tokens, so that guesses are drawn, kept and redrawn before they are judged."""
    table, prompt, length = Table(3, seed=4), [0, 1], 4
    target, counts = TableTarget(table), torch.zeros((3,) * length)
    for seed in range(1500):
        config = GenerationConfig(max_new_tokens=length, temperature=1.0, rule="rejection", seed=seed, has_detail=False)
        counts[tuple(output_ids(generate(target, made(target, window=3, **options), prompt, config)))] += 1
    shares = []
    for tokens in itertools.product(range(3), repeat=length):
        rows = [table.probs([*prompt, *tokens[:i]])[token] for i, token in enumerate(tokens)]
        shares.append(torch.stack(rows).prod())
    assert_fits(counts, torch.stack(shares))


@pytest.mark.parametrize("rule", RULES)
def test_passes_are_never_more_than_tokens_and_fall_with_the_window(rule: str) -> None:
    """Where a place depends little on the guesses before it, whole windows settle."""
    target = Reciter(prose(200))
    counts = [num_steps(target, made(target, window=window), 100, **RULES[rule]) for window in (1, 4, 16)]
    assert 100 >= counts[0] > counts[1] > counts[2]
    stubborn = TableTarget(Table(12, seed=1, sharpness=4.0), max_context=400)
    assert num_steps(stubborn, made(stubborn), 100, **RULES[rule]) <= 100


def test_keeping_sure_guesses_changes_how_often_they_are_accepted() -> None:
    target = TableTarget(Table(12, seed=1, sharpness=1.5), max_context=400)
    counts = [num_steps(target, made(target, keep_above=keep), 200, **RULES["rejection"]) for keep in (0.0, 1.0)]
    assert counts[0] != counts[1]


@pytest.mark.parametrize("rule", RULES)
def test_the_penalty_counts_the_text_and_the_guesses_before_a_place(rule: str) -> None:
    config = GenerationConfig(**RULES[rule], repetition_penalty=2.0)
    drafter = made(TableTarget(Table(32)), window=4)
    context = Context([1, 2, 3], config, Noise(4))
    drafter.start(context)
    drafter._vocab_size = 32
    drafter._guesses = [Guess(token) for token in (10, 11, 12, 13)]
    context.tree = drafter.propose(context, Room(64))
    logits = torch.full((5, 32), 0.1)
    logits[:, 3], logits[:, 11], logits[:, 20] = 5.0, 4.0, 3.0
    context.ids += [10, 9]
    drafter.observe(Verdict((0,), 9, "correction"), [10, 9], Scored(logits, None))
    # The next token, 9, is not what stood before these rows; 3 always did, 11 from row 2 on.
    probs = warp(logits[2:], config, [[1, 2, 3, 10, 11], [1, 2, 3, 10, 11, 12], [1, 2, 3, 10, 11, 12, 13]])
    assert probs.argmax(dim=1).tolist() == [20, 20, 20]
    if rule == "greedy":
        assert [guess.token for guess in drafter._guesses] == [20, 20, 20]
    elif rule == "rejection":
        torch.testing.assert_close(
            torch.stack([g.drawn_from for g in drafter._guesses if g.drawn_from is not None]), probs
        )
    else:
        wanted = [context.noise.draw(row, 5 + i) for i, row in enumerate(probs)]
        assert [guess.token for guess in drafter._guesses] == wanted


def test_a_guess_is_kept_for_how_sure_its_law_was_not_for_its_own_share() -> None:
    drafter = made(TableTarget(Table(9)), keep_above=0.5)
    for token in (0, 1):
        assert drafter._is_kept(Guess(token, torch.tensor([0.7, 0.3])))
        assert not drafter._is_kept(Guess(token, torch.tensor([0.4, 0.3, 0.3])))
    assert not drafter._is_kept(Guess(0)), "a first guess has no law"


@pytest.mark.parametrize("num_accepted", [0, 1, 3])
def test_a_guess_that_was_not_examined_is_kept_at_its_place(num_accepted: int) -> None:
    """With `num_accepted` accepted and the next one refused, old guess k + 1 + i is guess i of the next draft."""
    drafter = made(TableTarget(Table(9)), window=6, keep_above=0.0)
    context = session_of(drafter, [1, 2, 3], 4, **RULES["rejection"])
    drafter._vocab_size = 9
    for accepted in (0, num_accepted):
        before = context.tree = drafter.propose(context, Room(64))
        emitted = [*before.tokens[:accepted], 8]
        context.ids.extend(emitted)
        logits = torch.randn(7, 9, generator=torch.Generator().manual_seed(len(emitted)))
        drafter.observe(Verdict(tuple(range(accepted)), 8, "correction"), emitted, Scored(logits, None))
    after = drafter.propose(context, Room(64))
    assert before.draws is not None
    assert after.draws is not None
    # The last guess of the second draft was a first guess, without a law to keep it by.
    for i in range(6 - 1 - num_accepted - 1):
        old = num_accepted + 1 + i
        assert after.tokens[i] == before.tokens[old]
        torch.testing.assert_close(after.draws.rows[i], before.draws.rows[old])


def test_guesses_of_another_drafters_step_are_forgotten() -> None:
    drafter = made(TableTarget(Table(9)), window=3)
    context = session_of(drafter, [1, 2, 3])
    tree = drafter.propose(context, Room(9))
    context.tree = tree.pruned(0, 0)
    context.ids.append(8)
    drafter.observe(Verdict((), 8, "plain"), [8], Scored(torch.zeros(1, 9), None))
    assert drafter._guesses == []


def test_a_window_larger_than_the_context_is_refused() -> None:
    with pytest.raises(BadInput, match="window of 12 tokens does not fit this model's context of 12"):
        made(TableTarget(Table(5), max_context=12), window=12)
