"""A run's origin stands wherever the run does, and what a file says of itself is called a claim."""

from __future__ import annotations

from typing import Any

import pytest
from stored import copy_of, save, session

from specviz.archive import tables
from specviz.pages.inspector import Inspector
from specviz.pages.offline import to_html
from specviz.pages.side_by_side import side_by_side
from specviz.race import board, words
from specviz.race.fold import RaceState
from specviz.race.fold import fold_all as fold_race
from specviz.race.reopening import reopen
from specviz.race.table import cells
from specviz.showing import origin, tiles
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.replay import replay
from specviz.showing.rows import stored_speedup, to_row
from specviz.store import RunCopy, Store, owner

VERDICT = {"verdict": "identical", "text": "identical (4 tokens)"}
SAID = "imported 2026-11-30 12:00 UTC by visitor "


@pytest.fixture
def both(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """`fast` beside `plain`, measured here; `brought` beside `theirs`, from a file, seven times as fast."""
    monkeypatch.setattr(owner, "now", lambda: "2026-11-30T12:00:00.000000+00:00")
    for name, decode_ns, fields in (("plain", 77, {"method": "plain"}), ("fast", 11, {})):
        save(store, session(name, decode_ns=decode_ns, **fields))
    store.set_baseline("fast", "plain")
    store.set_audit("fast", VERDICT)
    store.flush()
    brought = RunCopy(tuple(session("brought", decode_ns=11)), audit=VERDICT, baseline_run_id="theirs")
    store.add_copies([copy_of("theirs", method="plain"), brought], visitor="a" * 32)
    return store


def row_of(store: Store, run_id: str) -> dict[str, Any]:
    run = store.get_run(run_id)
    return to_row(run, store.baselines([run]).get(run.baseline_run_id or ""))


def stage(store: Store, run_id: str) -> ViewState:
    return fold_all(ViewState(), replay(store, run_id))


def test_a_list_marks_what_was_imported_and_calls_its_figures_claims(both: Store) -> None:
    ours, theirs = row_of(both, "fast"), row_of(both, "brought")
    assert (ours["origin"], ours["speedup"], ours["verdict"]) == ("", "7.00", "identical")
    assert (theirs["speedup"], theirs["verdict"]) == ("claimed: 7.00", "claimed: identical")
    assert theirs["origin"].startswith(SAID)
    assert "a" * 6 not in theirs["origin"], "the hash that rights go by is in no answer"


def test_a_stage_says_it_in_its_line_its_tiles_and_aloud(both: Store) -> None:
    ours, theirs = stage(both, "fast"), stage(both, "brought")
    assert tiles.meta_text(ours).endswith(" · measured here")
    assert SAID in tiles.meta_text(theirs)
    notes = {tile.key: tile.note for tile in tiles.tiles(theirs)}
    assert "tokens/s, claimed" in notes["speedup"]
    assert notes["audit"] == "claimed: identical (4 tokens)"
    assert "what a file claims" in tiles.spoken_text(theirs)
    assert "claim" not in tiles.spoken_text(ours) + "".join(tile.note for tile in tiles.tiles(ours))


def test_the_next_live_run_on_a_stage_is_no_claim(both: Store) -> None:
    again = fold_all(stage(both, "brought"), list(replay(both, "fast"))[:4])
    assert again.is_claim is False


def test_the_inspector_names_the_origin_and_opens_on_a_run_of_its_own(both: Store) -> None:
    page = Inspector(both)
    (sent,) = page.arrive({})
    assert '"run":"plain"' in sent, "the last of those that were measured here"
    assert '"label":"imported \\u00b7 ' in sent
    assert f'"origin":"{SAID}' in page.read("brought")
    assert '"origin":"measured here"' in page.read("fast")
    (asked,) = page.arrive({"run": "brought"})
    assert '"run":"brought"' in asked


def test_side_by_side_and_files_say_it(both: Store) -> None:
    found = side_by_side(both, ["fast", "brought"])
    assert [run["label"] for run in found["runs"]] == ["1 · draft_model", "2 · draft_model (imported)"]
    assert origin.WARNING in found["warnings"]
    assert origin.WARNING not in side_by_side(both, ["fast", "plain"])["warnings"]
    runs = [both.get_run(name) for name in ("fast", "brought")]
    rows = [tables.to_row(run, both.baselines([run])[run.baseline_run_id or ""]) for run in runs]
    told = [(row["origin"], row["speedup_is"], row["verdict"]) for row in rows]
    assert told == [("measured", "measured", "identical"), ("imported", "claimed", "claimed: identical")]
    assert rows[1]["added_at"].startswith("2026-11-30T12:00")
    assert SAID in to_html(both, ["brought"])


def test_a_race_of_both_names_the_claim_in_its_lane(both: Store) -> None:
    state = fold_race(RaceState(), reopen(both, ["plain", "fast", "brought"]))
    _, ours, theirs = board.rows(state, {})
    assert (ours.label, theirs.label) == ("draft_model", "draft_model (imported)")
    assert words.verdict(ours)[0] == "✓ same text"
    assert words.verdict(theirs)[0] == "claimed: ✓ same text"
    assert "claimed: identical" in cells(theirs)
    assert theirs.speedup == pytest.approx(7.0), "against the plain run that came with it, not against ours"


@pytest.mark.parametrize(("run", "plain"), [("fast", "theirs"), ("brought", "plain")])
def test_measured_and_imported_make_no_speedup_together(both: Store, run: str, plain: str) -> None:
    rows = [both.get_run(name) for name in (run, plain)]
    assert stored_speedup(*rows) is None
    both.set_baseline(run, plain)
    both.flush()
    assert stage(both, run).plain_events == ()


def test_a_run_of_the_year_9999_leads_no_list(both: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "now", lambda: "2026-11-30T12:00:00.500000+00:00")
    both.add_copies([copy_of("late", created_at="9999-12-31T23:59:59+00:00"), copy_of("early")])
    save(both, session("now", created_at="2026-11-30T12:00:01+00:00"))
    assert [run.id for run in both.list_runs(3)] == ["now", "late", "early"]
    assert [run.id for run in both.list_runs(2, before="now")] == ["late", "early"]
    assert [run.id for run in both.list_runs(origin="measured")] == ["now", "plain", "fast"]
