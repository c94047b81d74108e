"""STAND: the memory's running mean, draws without replacement, exactness, and what several samples share."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reciter import block_efficiency
from toys import Table, TableTarget, assert_fits, create, output_ids, session_of

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.tables.stand.children import drawn, law, likeliest
from engine.drafters.tables.stand.memory import NUM_KEPT, Entry, Memory, Path
from engine.drafters.tables.stand.method import Stand
from engine.drafters.tables.stand.shape import TREE, fitted_tree, shape, start_tree
from engine.events import SessionFinished, Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target
from engine.tree import DraftTree

REJECTION: dict[str, Any] = {"temperature": 1.0, "rule": "rejection"}


def made(target: Target, **options: Any) -> Stand:
    drafter = create("stand", target, **options)
    assert isinstance(drafter, Stand)
    return drafter


def run(target: Target, drafter: Stand, num_tokens: int, **settings: Any) -> list[Stepped]:
    config = GenerationConfig(max_new_tokens=num_tokens, has_detail=False, **settings)
    events = list(generate(target, drafter, [0, 1, 0, 1], config))
    assert isinstance(events[-1], SessionFinished)
    assert events[-1].reason == "length", events[-1].message
    return [event for event in events if isinstance(event, Stepped)]


# The memory


@given(st.lists(st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5), min_size=1, max_size=8))
def test_the_running_mean_is_the_mean_over_all_visits(visits: list[list[float]]) -> None:
    entry = Entry()
    for probs in visits:
        entry.add(range(5), probs)
    wanted = torch.tensor(visits, dtype=torch.float64).mean(dim=0)
    for token, prob in zip(entry.tokens, entry.probs, strict=True):
        assert prob == pytest.approx(wanted[token].item())
    assert entry.probs == sorted(entry.probs, reverse=True)
    assert entry.num_visits == len(visits)


def test_a_token_absent_on_one_side_counts_nothing_there() -> None:
    entry = Entry()
    entry.add([1, 2], [0.6, 0.4])
    entry.add([2, 3], [0.5, 0.3])
    assert entry.tokens == [2, 1, 3]
    assert entry.probs == pytest.approx([0.45, 0.3, 0.15])


def test_only_the_likeliest_are_kept() -> None:
    entry = Entry()
    entry.add(range(20), [1 / (token + 1) for token in range(20)])
    assert entry.tokens == list(range(NUM_KEPT))


def test_the_longest_known_ngram_answers() -> None:
    memory = Memory()
    memory.add([9, 2, 3], 3, [7], [1.0])
    memory.add([1, 2, 3, 4][:3], 3, [5], [1.0])
    found = memory.get((0, 1, 2, 3))
    assert found is memory.entries[(1, 2, 3)]
    assert memory.get((8, 8, 2, 3)) is memory.entries[(2, 3)]
    assert memory.get((8, 8, 8, 3)) is None
    assert memory.entries[(2, 3)].num_visits == 2


def test_it_learns_from_the_root_and_the_accepted_nodes(llama: Target) -> None:
    drafter = made(llama, reads_prompt=False)
    prompt = [1, 2, 3, 4, 5]
    ids = list(prompt)
    for event in generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=30)):
        if isinstance(event, Stepped):
            ids += [token.token_id for token in event.emitted]
    seen = {tuple(ids[end - n : end]) for end in range(len(prompt), len(ids)) for n in (2, 3, 4)}
    assert set(drafter.memory.entries) == seen
    entry = drafter.memory.get(tuple(prompt[-4:]))
    assert entry is not None
    assert entry.tokens[0] == ids[len(prompt)]


# Draws


def test_children_are_drawn_without_replacement_as_one_after_another() -> None:
    entry = Entry(list(range(4)), [0.5, 0.3, 0.15, 0.05], 1)
    temperature, counts = 0.7, torch.zeros(4, 4)
    for waits in Noise(1).of(range(20_000), torch.arange(4), "stand").tolist():
        first, second = drawn(entry, 2, temperature, waits)
        counts[first.token, second.token] += 1
    weights = torch.tensor(entry.probs, dtype=torch.float64) ** (1 / temperature)
    q = weights / weights.sum()
    pairs = torch.stack([q[i] * q / (1 - q[i]) for i in range(4)])
    pairs.fill_diagonal_(0)
    assert_fits(counts, pairs)


def test_the_law_is_the_stored_one_at_the_temperature() -> None:
    entry = Entry(list(range(4)), [0.5, 0.3, 0.15, 0.0], 1)
    weights = {token: prob**0.5 for token, prob in zip(entry.tokens, entry.probs, strict=True) if prob}
    assert law(entry, 2.0) == pytest.approx({token: w / sum(weights.values()) for token, w in weights.items()})
    assert law(Entry([7, 8], [1e-300, 1e-300], 1), 1e-3) == {7: 0.5, 8: 0.5}, "no overflow near temperature 0"


def test_what_has_no_number_in_the_law_is_not_drawn() -> None:
    entry = Entry([7, 8, 9], [0.5, 0.5, 0.25], 1)
    assert set(law(entry, 1e-4)) == {7, 8}
    assert {child.token for child in drawn(entry, 3, 1e-4, [1.0, 2.0, 3.0])} == {7, 8}


def test_children_say_that_they_were_drawn_from_their_parents_law_without_replacement() -> None:
    drafter, context = (
        made(TableTarget(Table(64)), nodes=12),
        Context([1, 2, 3], GenerationConfig(**REJECTION), Noise(3)),
    )
    drafter.start(context)
    drafter._vocab_size = 64
    drafter.memory.add([1, 2, 3], 3, [10, 20, 30, 40], [0.4, 0.3, 0.2, 0.1])
    for token in (10, 20, 30, 40):
        drafter.memory.add([2, 3, token], 3, [50, 60], [0.7, 0.3])
    tree = drafter.propose(context, Room(64))
    assert tree.draws is not None
    assert tree.draws.scheme == "without_replacement"
    assert tree.draws.order == tuple(range(len(tree)))
    for node, parent in enumerate(tree.parents):
        entry = drafter.memory.get((1, 2, 3, *(tree.tokens[i] for i in tree.path_to(parent)))[-4:])
        assert entry is not None
        row = tree.draws.rows[tree.draws.row_of[node]]
        assert {token: row[token].item() for token in row.nonzero().flatten().tolist()} == pytest.approx(law(entry, 1))
    assert len(set(tree.draws.row_of)) == len(set(tree.parents)) > 1


def law_of(table: Table, prompt: Sequence[int], length: int) -> torch.Tensor:
    shares = []
    for tokens in itertools.product(range(table.vocab_size), repeat=length):
        rows = [table.probs([*prompt, *tokens[:i]])[token] for i, token in enumerate(tokens)]
        shares.append(torch.stack(rows).prod())
    return torch.stack(shares)


@pytest.mark.parametrize("vocab_size", [3, 6])
def test_rejection_with_siblings_keeps_the_law(vocab_size: int) -> None:
    """A memory that is full of other laws: trees of several children a node, mostly wrong."""
    table, prompt = Table(vocab_size, seed=2), [0, 1, 0, 1]
    memory = Memory()
    rng = random.Random(0)
    for pair in itertools.product(range(vocab_size), repeat=2):
        probs = [rng.random() for _ in range(vocab_size)]
        memory.entries[pair] = Entry(list(range(vocab_size)), [prob / sum(probs) for prob in probs], 5)
    target, counts, num_accepted = TableTarget(table), torch.zeros((vocab_size,) * 3), 0
    for seed in range(1500):
        drafter = made(target, reads_prompt=False, nodes=12)
        copied = Memory()
        copied.entries = {ngram: Entry(e.tokens, e.probs, e.num_visits) for ngram, e in memory.entries.items()}
        drafter.share(copied)
        config = GenerationConfig(max_new_tokens=3, seed=seed, has_detail=False, **REJECTION)
        drafter_events = list(generate(target, Known(drafter, vocab_size), prompt, config))
        counts[tuple(output_ids(drafter_events))] += 1
        assert isinstance(drafter_events[-1], SessionFinished)
        num_accepted += drafter_events[-1].counts.accepted
    assert num_accepted > 500
    assert_fits(counts, law_of(table, prompt, 3))


class Known(Stand):
    """Knows the vocabulary's size before the first pass, so that its first step drafts too."""

    def __init__(self, drafter: Stand, vocab_size: int) -> None:
        self.__dict__.update(vars(drafter))
        self._size = vocab_size

    def start(self, context: Context) -> None:
        super().start(context)
        self._vocab_size = self._size


def test_drawn_drafts_are_accepted_more_often_than_the_likeliest_alone() -> None:
    """On the same memory, at temperature 1: one child a node, sampled and judged by ratio, or the best one."""
    table = Table(12, seed=3, sharpness=1.0)
    target = TableTarget(table, max_context=4000)
    accepted = {}
    for rule in ("rejection", "one-hot"):
        drafter = made(target, reads_prompt=False, nodes=1)
        drafter.share(memory := Memory())
        run(target, drafter, 1200, temperature=1.0, seed=1)
        settings = REJECTION if rule == "rejection" else {"temperature": 1.0}
        second = made(target, reads_prompt=False, nodes=1)
        second.share(memory)
        if rule == "one-hot":
            second._chooser = lambda context: lambda entry, slots: likeliest(entry, 1)  # type: ignore[method-assign]
        steps = [step for step in run(target, second, 1200, seed=2, **settings) if step.nodes]
        accepted[rule] = sum(len(step.path) for step in steps) / len(steps)
    assert accepted["rejection"] > accepted["one-hot"]


# Sharing


def test_samples_of_one_problem_that_share_a_memory_go_faster_one_by_one() -> None:
    target = TableTarget(Table(16, seed=3, sharpness=2.0), max_context=400)
    memory, gains = Memory(), []
    for trajectory in range(16):
        drafter = made(target, reads_prompt=False)
        drafter.share(memory)
        gains.append(block_efficiency(run(target, drafter, 60, temperature=1.0, seed=trajectory)))
    assert sum(gains[-4:]) > 1.3 * 4 * gains[0]


def test_a_session_that_was_given_nothing_begins_with_nothing() -> None:
    target = TableTarget(Table(16, seed=3), max_context=400)
    first, second = made(target), made(target)
    run(target, first, 40)
    session_of(second, [0, 1, 0, 1])
    assert second.memory is not first.memory
    assert set(second.memory.entries) == {(0, 1), (1, 0), (0, 1, 0)}


# The tree


def test_the_tree_is_prefix_closed_and_of_eighty_nodes() -> None:
    assert len(TREE) == len(set(TREE)) == 80
    for paths in (TREE, start_tree(), TREE[:7]):
        assert all(path[:-1] == () or path[:-1] in set(paths) for path in paths)
    assert len(start_tree()) == 625
    slots = shape(TREE)
    assert sum(each.num_children for each in slots) == 80
    parents = [each.parent for each in slots for _ in range(each.num_children)]
    assert DraftTree((0,) * 80, tuple(parents)).depth == max(map(len, TREE))


def rank_paths(table: Table, seed: int) -> list[Path]:
    """Where in the memory the text stood, at every place of a sampled text."""
    memory, rng = Memory(), torch.Generator().manual_seed(seed)
    ids, paths = [0, 1], []
    for _ in range(400):
        probs = table.probs(ids)
        top = probs.topk(NUM_KEPT)
        memory.add(ids, len(ids), top.indices.tolist(), top.values.tolist())
        ids.append(int(torch.multinomial(probs, 1, generator=rng)))
    paths += [memory.ranks(ids[:end], ids[end:]) for end in range(50, len(ids))]
    return paths


def covered(tree: Sequence[Path], paths: Sequence[Path]) -> float:
    """Mean number of tokens that a tree would have got right."""
    nodes = set(tree)
    return sum(max(n for n in range(len(path) + 1) if n == 0 or path[:n] in nodes) for path in paths) / len(paths)


def test_a_fitted_tree_is_right_more_often_on_texts_it_was_not_fitted_to() -> None:
    table = Table(16, seed=1, sharpness=3.0)
    fitted = fitted_tree([path for seed in range(6) for path in rank_paths(table, seed)], 16)
    held_out = [path for seed in range(20, 23) for path in rank_paths(table, seed)]
    assert all(path[:-1] == () or path[:-1] in fitted for path in fitted)
    assert covered(fitted, held_out) > covered(start_tree(16), held_out)
