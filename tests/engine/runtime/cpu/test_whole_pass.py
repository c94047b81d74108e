"""A compiled pass keeps a row's bits whoever shares the work, in whatever order, and whatever else is computed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
import transformers
from toys import build, prompt_ids
from toys.families import sizes

from engine.runtime.cpu import crew, decoder
from engine.runtime.cpu.crew import CREW
from engine.runtime.runner import ModelRunner
from engine.runtime.waiting import MAX_PENDING

VOCAB = 100
ROOM = 2000
Tree = tuple[list[int], list[int]]


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """More threads than most machines have cores, each pass worth them all."""
    monkeypatch.setattr(crew, "usable_cores", lambda: 4)
    monkeypatch.setattr(decoder, "_SMALL_BYTES", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def runner_of(dtype: str = "bfloat16", seed: int = 0, num_layers: int = 2) -> ModelRunner:
    own = {"vocab_size": VOCAB, "hidden_size": 96, "intermediate_size": 160, "num_attention_heads": 6}
    config = transformers.LlamaConfig(**sizes(**own, num_hidden_layers=num_layers, max_position_embeddings=ROOM))
    return ModelRunner(build(config, dtype, seed), ROOM, is_row_invariant=True)


def another(runner: ModelRunner) -> ModelRunner:
    """Another session of the same model."""
    return ModelRunner(runner.model, ROOM, is_row_invariant=True)


def tree(num_rows: int, seed: int = 0) -> Tree:
    """Tokens and parents of rows behind the context."""
    rng = random.Random(seed)
    return prompt_ids(num_rows, VOCAB, seed), [rng.randrange(-1, row) for row in range(num_rows)]


def path_to(row: int, rows: Tree) -> list[int]:
    tokens, parents = rows
    return [] if row < 0 else [*path_to(parents[row], rows), tokens[row]]


def scored(runner: ModelRunner, rows: Tree) -> torch.Tensor:
    logits = runner.extend(*rows).logits.clone()
    runner.commit([])
    return logits


def alone(runner: ModelRunner, context: Sequence[int], row: int, rows: Tree) -> torch.Tensor:
    """Logits of a row, its ancestors and itself one pass each."""
    runner.reset()
    for token in [*context, *path_to(row, rows)]:
        logits = runner.extend([token], [-1]).logits[0]
        runner.commit([0])
    return logits


def test_passes_are_shared_by_as_many_threads_as_there_are(four_threads: None) -> None:
    assert CREW.size == 4


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_number_of_threads_changes_no_bit(dtype: str, monkeypatch: pytest.MonkeyPatch, four_threads: None) -> None:
    runner = runner_of(dtype)
    runner.prefill(prompt_ids(30, VOCAB))
    for num_rows in (1, 3, 7, 20, 65):
        found = []
        for num_threads in (1, 2, 3, 4):
            monkeypatch.setattr(crew, "usable_cores", lambda count=num_threads: count)
            found.append(scored(runner, tree(num_rows)))
        assert all(torch.equal(found[0], other) for other in found[1:]), num_rows


def test_passes_that_follow_each_other_at_once_repeat_their_bits(four_threads: None) -> None:
    """Threads that come late, for there are more than cores, find another pass in the place of theirs."""
    runner = runner_of()
    runner.prefill(prompt_ids(30, VOCAB))
    cases = [tree(num_rows) for num_rows in (1, 2, 5, 17, 40)]
    wanted = [scored(runner, case) for case in cases]
    for turn in range(300):
        assert torch.equal(scored(runner, cases[turn % 5]), wanted[turn % 5]), turn


def test_sessions_of_two_models_in_several_threads_do_not_meet(four_threads: None) -> None:
    """Each has its own number of threads, so that one may wake in a pass with fewer than it was hired for."""
    models, different = [runner_of(seed=seed) for seed in (1, 2)], []

    def decode(session: int) -> None:
        torch.set_num_threads(1 + session)
        runner, rows = another(models[session % 2]), tree(25, seed=session)
        runner.prefill(prompt_ids(20 + session, VOCAB))
        first = scored(runner, rows)
        if any(not torch.equal(scored(runner, rows), first) for _ in range(40)):
            different.append(session)

    threads = [threading.Thread(target=decode, args=(session,)) for session in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert different == []


@pytest.mark.parametrize("num_before", [0, 1, 300])
def test_a_row_of_the_widest_tree_has_the_bits_that_it_has_alone(num_before: int, four_threads: None) -> None:
    runner, rows, context = runner_of(), tree(MAX_PENDING), prompt_ids(num_before, VOCAB)
    for token in context:
        runner.extend([token], [-1])
        runner.commit([0])
    whole = scored(runner, rows)
    single = another(runner)
    for row in (0, 1, 255, 400, MAX_PENDING - 2, MAX_PENDING - 1):
        assert torch.equal(alone(single, context, row, rows), whole[row]), row


def test_rows_may_wait_through_many_passes_before_some_are_kept() -> None:
    """The cache grows meanwhile, and its columns hold siblings that are in nobody's way."""
    runner, plain = runner_of(), runner_of()
    text, rng, kept = prompt_ids(600, VOCAB, seed=3), random.Random(3), 0
    wanted = []
    for token in text:
        wanted.append(plain.extend([token], [-1]).logits[0].clone())
        plain.commit([0])
    while kept < len(text):
        rows: list[int] = []
        for place in range(kept, min(len(text), kept + rng.choice([1, 3, 40, 150]))):
            parent = rows[-1] if rows else -1
            if rng.random() < 0.3:
                runner.extend([rng.randrange(VOCAB)] * 2, [parent, parent])
            rows.append(runner.num_pending)
            assert torch.equal(runner.extend([text[place]], [parent]).logits[0], wanted[place]), place
        runner.commit(rows)
        kept += len(rows)
    for layer in range(2):
        for found, other in zip(runner.kv(layer), plain.kv(layer), strict=True):
            assert torch.equal(found, other)


def test_a_pass_has_no_more_threads_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads may be set anew by another caller between the two."""
    monkeypatch.setattr(decoder, "_SMALL_BYTES", 0)
    sizes, given, run = iter([1] + [4] * 99), [], CREW.run
    monkeypatch.setattr(type(CREW), "size", property(lambda group: next(sizes)))

    def watch(function: Any, *arguments: Any, num_threads: int) -> None:
        given.append(num_threads)
        run(function, *arguments, num_threads=num_threads)

    monkeypatch.setattr(CREW, "run", watch)
    runner = runner_of()
    runner.extend([1, 2], [-1, 0])
    assert given == [1]


def test_denormal_numbers_count_as_zero_in_every_thread(four_threads: None) -> None:
    runner, other = (runner_of("float32") for _ in range(2))
    rows = tree(20)
    wanted = scored(runner, rows)
    assert other._decoder is not None
    other._decoder.weights.norms[:] *= 1e-39
    assert torch.isfinite(wanted).all()
    assert not scored(other, rows).any(), "norms that no thread may see as anything"
    small = torch.tensor([1e-39])
    assert (small * 0.5).item() > 0, "the caller's own arithmetic is as it was"
