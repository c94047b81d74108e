"""ADED: the table by hand, the search against known scores, adaptation, isolation, and what a step costs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Table, TableTarget, session_of

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.tables.aded import search as puct
from engine.drafters.tables.aded.method import Aded
from engine.drafters.trigrams import EMPTY_TABLE, MAX_SUCCESSORS, OVERLAY_SUCCESSORS, Overlay, build_table, load_table
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target

PHRASE = [7, 8, 9, 10, 11]


def overlay_of(*entries: list[int]) -> Overlay:
    return Overlay(build_table(list(entries)))


def search(overlay: Overlay, before: int, root: int, **given_options: Any) -> dict[tuple[int, ...], int]:
    """Visits of every prefix of the search tree."""
    settings = {"iterations": 150, "transitions": 3, "c1": 32.0, "c2": 8.0, "seed": 1} | given_options
    tokens, parents, visits, _ = puct.search(before, root, *settings.values(), overlay.arrays)
    paths: list[tuple[int, ...]] = [()]
    for node in range(1, len(tokens)):
        paths.append((*paths[parents[node]], int(tokens[node])))
    return dict(zip(paths, visits.astype(int).tolist(), strict=True))


def drafter_for(ids: list[int], **given_options: Any) -> tuple[Any, Context]:
    target = TableTarget(Table(64))
    drafter = drafters.create("aded", {"table": "none", "nodes": 16, **given_options}, target)
    return drafter, session_of(drafter, ids)


def test_a_table_counts_inside_entries_and_normalises() -> None:
    overlay = overlay_of([1, 2, 3], [1, 2, 3], [1, 2, 4], [9, 9])
    assert overlay.successors(1, 2) == [(3, pytest.approx(2 / 3)), (4, pytest.approx(1 / 3))]
    assert overlay.successors(2, 3) == [], "no tri-gram crosses two entries"
    assert overlay.successors(9, 9) == []


@given(st.lists(st.lists(st.integers(0, 5), max_size=30), max_size=6))
def test_a_table_equals_a_plain_count(entries: list[list[int]]) -> None:
    overlay = overlay_of(*entries)
    counts: dict[tuple[int, int], dict[int, int]] = {}
    for entry in entries:
        for a, b, c in zip(entry, entry[1:], entry[2:], strict=False):
            followers = counts.setdefault((a, b), {})
            followers[c] = followers.get(c, 0) + 1
    for (a, b), followers in counts.items():
        wanted = {c: n / sum(followers.values()) for c, n in followers.items()}
        assert dict(overlay.successors(a, b)) == pytest.approx(wanted)


def test_pruning_keeps_the_heaviest_and_rare_ones_can_be_dropped() -> None:
    entries = [[1, 2, 10 + i] for i in range(20) for _ in range(i + 1)]
    found = overlay_of(*entries).successors(1, 2)
    assert [token for token, _ in found] == list(range(29, 29 - MAX_SUCCESSORS, -1))
    table = build_table([[1, 2, 3], [1, 2, 3], [1, 2, 4]], min_count=2)
    assert table.tokens.tolist() == [3]
    assert table.weights.tolist() == [pytest.approx(2 / 3)], "weights are shares before pruning"


def test_a_table_survives_its_file_and_refuses_another_tokenizer(tmp_path: Path) -> None:
    table = build_table([[1, 2, 3, 4], [1, 2, 4, 5]])
    table.save(tmp_path / "t.safetensors", "letters")
    again = load_table(tmp_path / "t.safetensors", "letters")
    assert again.keys.tolist() == table.keys.tolist()
    assert again.tokens.tolist() == table.tokens.tolist()
    assert again.weights.tolist() == pytest.approx(table.weights.tolist())
    with pytest.raises(BadInput, match="another tokenizer"):
        load_table(tmp_path / "t.safetensors", "words")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    for missing in ("bad.safetensors", "none.safetensors"):
        with pytest.raises(BadInput, match="cannot be read"):
            load_table(tmp_path / missing, "letters")


def test_puct_by_hand() -> None:
    expected = 5.0 / 4 + (32 + math.log((16 + 8 + 1) / 8)) * 0.25 * math.sqrt(16) / (1 + 4)
    assert puct.puct(5.0, 4, 0.25, 16, 32.0, 8.0) == pytest.approx(expected)
    assert puct.puct(0.0, 0, 0.25, 16, 32.0, 8.0) == math.inf


def test_visits_rank_continuations_by_their_score() -> None:
    strong, middle, weak = [1, 2, 10, 11, 12], [1, 2, 20, 21, 22], [1, 2, 30, 31, 32]
    visits = search(overlay_of(*[strong] * 6, *[middle] * 3, weak), 1, 2)
    assert visits[10,] > visits[20,] > visits[30,] > 0
    assert visits[10, 11] > visits[20, 21]


def test_less_exploration_follows_values_and_more_follows_the_table() -> None:
    overlay = overlay_of(*[[1, 2, 3, 4, 5]] * 3, *[[1, 2, 6, 7, 8]] * 2, *[[9, 3, i] for i in range(10)])
    shares = [search(overlay, 1, 2, c1=c1)[3,] / 150 for c1 in (0.0, 1000.0)]
    assert abs(shares[1] - 0.6) < 0.05, "with all weight on the table, visits follow its shares"
    assert abs(shares[0] - 0.6) > abs(shares[1] - 0.6)


def test_a_search_repeats_by_seed_and_obeys_its_bounds() -> None:
    ids = np.random.default_rng(0).integers(0, 5, 600).tolist()
    overlay, before, root = overlay_of(ids), ids[0], ids[1]
    assert search(overlay, before, root, seed=3) == search(overlay, before, root, seed=3)
    visits = search(overlay, before, root, transitions=2)
    assert visits[()] == 150
    assert max(map(len, visits)) == 2
    tokens, parents = puct.draft(before, root, 150, 3, 24, 9, 32.0, 8.0, 1, overlay.arrays)
    assert len(tokens) <= 9
    assert all(parent < place for place, parent in enumerate(parents))
    assert len({(int(p), int(t)) for t, p in zip(tokens, parents, strict=True)}) == len(tokens), "no twin siblings"


def test_a_draft_ends_with_the_heaviest_successor() -> None:
    overlay = overlay_of([1, 2, 3, 4, 5, 6])
    tokens, parents = puct.draft(1, 2, 150, 3, 24, 64, 32.0, 8.0, 1, overlay.arrays)
    assert tokens.tolist() == [3, 4, 5, 6]
    assert parents.tolist() == [-1, 0, 1, 2]


def test_without_adaptation_nothing_is_learnt_and_with_it_a_phrase_is() -> None:
    ids = [*PHRASE, 1, *PHRASE, 2, *PHRASE, 3, *PHRASE[:2]]
    frozen, context = drafter_for(ids, window=0)
    assert len(frozen.propose(context, Room(16))) == 0
    adapting, context = drafter_for(ids, window=64)
    tree = adapting.propose(context, Room(16))
    path = tree.path_to(max(range(len(tree)), key=lambda node: tree.depths[node]))
    assert [tree.tokens[node] for node in path][:3] == PHRASE[2:]


def test_weights_stop_at_the_cap_and_pairs_stay_bounded() -> None:
    overlay = Overlay(EMPTY_TABLE)
    for _ in range(100):
        overlay.adapt(np.array([1, 2, 3]), 0.04, 3.0)
    assert overlay.successors(1, 2) == [(3, pytest.approx(3.0))]
    for token in range(100):
        overlay.adapt(np.array([5, 6, token]), 0.04, 3.0)
    assert len(overlay.successors(5, 6)) == OVERLAY_SUCCESSORS
    assert (99, pytest.approx(0.04)) in overlay.successors(5, 6)


def test_an_overlay_grows_without_losing_pairs() -> None:
    overlay = Overlay(EMPTY_TABLE)
    for start in range(6000):
        overlay.adapt(np.array([start, start + 1, start + 2]), 0.04, 3.0)
    assert len(overlay.keys) > 8192
    assert all(overlay.successors(start, start + 1)[0][0] == start + 2 for start in range(0, 6000, 97))


def test_the_shared_table_is_never_written_and_a_session_starts_cold_unless_asked() -> None:
    table = build_table([[1, 2, 3]])
    overlay = Overlay(table)
    overlay.adapt(np.array([1, 2, 9]), 0.04, 3.0)
    assert len(overlay.successors(1, 2)) == 2
    assert Overlay(table).successors(1, 2) == [(3, 1.0)]
    ids = [*PHRASE, 1, *PHRASE, 2, *PHRASE[:2]]
    for warm, learnt in ((False, False), (True, True)):
        first, context = drafter_for(ids, window=64, warm=warm)
        first.propose(context, Room(16))
        second, other = drafter_for([5, *PHRASE[:2]], window=3, warm=warm)
        assert bool(len(second.propose(other, Room(16)))) is learnt
    Aded._WARM.clear()


def test_adaptation_gains_over_a_frozen_table_as_the_text_goes_on() -> None:
    """The paper's claim, on a target that repeats itself."""
    target = TableTarget(Table(3, seed=2, sharpness=6.0))

    def efficiency(window: int) -> float:
        drafter = drafters.create("aded", {"table": "none", "nodes": 8, "window": window}, target)
        events = list(generate(target, drafter, [0, 1], GenerationConfig(max_new_tokens=60)))
        late = [event for event in events if isinstance(event, Stepped)][-8:]
        return sum(len(step.emitted) for step in late) / len(late)

    assert efficiency(window=0) == 1
    assert efficiency(window=16) > 1.5


@pytest.mark.parametrize("given_options", [{"table": "no/such/file"}, {"nodes": 65}, {"iterations": 0}])
def test_bad_options_are_refused_with_a_sentence(given_options: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        drafters.create("aded", given_options, TableTarget(Table(5)))
    assert len(str(caught.value).splitlines()) == 1


def test_a_search_of_its_own_table_pays_on_the_embedded_target() -> None:
    """With the paper's settings. `scripts/draft_time.py` times it."""
    target = Target(models.load("story"))
    drafter = drafters.create("aded", {"nodes": 64}, target)
    events = generate(target, drafter, "Write a short story about a fox.", GenerationConfig(max_new_tokens=64))
    steps = [event for event in events if isinstance(event, Stepped)]
    assert sum(len(step.emitted) for step in steps) / len(steps) > 1.5
