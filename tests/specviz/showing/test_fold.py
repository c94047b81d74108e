"""Events and notices to all that a page may show; a replay folds to the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asking import run, whole

from engine.events import Event, Prefilled, SessionFinished, Stepped
from specviz.showing import fold as folding
from specviz.showing import tiles
from specviz.showing.fold import GOES_ON, ViewState, fold, fold_all
from specviz.showing.notices import Audited, Ended, Failed, FromStore, Happening, Opened, Preparing, Waiting
from specviz.showing.replay import replay


def tile(state: ViewState, key: str) -> tiles.Tile:
    return next(found for found in tiles.tiles(state) if found.key == key)


def test_phases_in_order() -> None:
    state, phases = ViewState(), []
    for happening in [Waiting(2), Preparing("Loading"), *whole()]:
        state = fold(state, happening)
        if not phases or phases[-1] != state.phase:
            phases.append(state.phase)
    assert phases == ["waiting", "preparing", "running", "auditing", "finished"]


def test_folding_changes_nothing_that_was_given() -> None:
    before = fold_all(ViewState(), whole()[:4])
    events = before.events
    fold_all(before, whole()[4:])
    assert before.events is events


def test_the_baseline_is_kept_beside_the_run() -> None:
    state = fold_all(ViewState(), whole())
    assert [len(state.plain_events), len(state.events)] == [12, 6]
    assert state.audit == Audited("identical", "identical (9 tokens)")


def test_the_last_run_stays_on_screen_until_the_next_one_starts() -> None:
    state = fold_all(ViewState(), [*whole(), Opened("method"), Failed("No.")])
    assert state.started is not None
    assert len(state.steps) == 3


def test_stopped_failed_and_interrupted_runs_say_so() -> None:
    def ended(*happenings: Happening) -> ViewState:
        return fold_all(ViewState(), [Opened("method"), *happenings, Ended()])

    assert ended(*run(reason="stopped")).phase == "stopped"
    assert ended(*run(reason="failed")).phase == "failed"
    assert ended(*run()[:-1]).phase == "interrupted"
    assert ended(Failed("No such model.")).alert == "No such model."
    assert ended(*run()[:3], Failed("It broke.")).phase == "failed"


def test_a_run_that_went_on_without_its_drafter_says_so_and_has_not_failed() -> None:
    *before, end = run()
    assert isinstance(end, SessionFinished)
    told = replace(end, message="The drafter failed.")
    state = fold_all(ViewState(), [Opened("method"), *before, told, Ended()])
    assert (state.alert, state.phase) == ("The drafter failed.", "finished")


class Archive:
    """A run beside a plain one; both of them are saved."""

    baseline_run_id = "p1"
    origin = "measured"
    id = "p1"
    audit = {"verdict": "identical", "text": "identical (9 tokens)"}  # noqa: RUF012

    def __init__(self, status: str) -> None:
        self.status = status

    def get_run(self, run_id: str) -> Archive:
        return self

    def events(self, run_id: str) -> list[Event]:
        return run("plain", 9, "p1") if run_id == "p1" else run()[: None if self.status == "finished" else -1]


def test_a_replay_folds_to_the_same_view_as_the_live_run() -> None:
    stored = fold_all(ViewState(), replay(Archive("finished"), "s1"))
    assert stored.origin == FromStore("measured here", is_claim=False)
    assert replace(stored, origin=None) == fold_all(ViewState(), whole())


def test_steps_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, each would copy all before it: a run of 100,000 steps took a minute."""
    copied: list[int] = []
    gone_on = folding._gone_on
    monkeypatch.setattr(folding, "_gone_on", lambda state, steps: copied.append(len(steps)) or gone_on(state, steps))
    state = fold_all(ViewState(), whole())
    assert max(copied) == sum(isinstance(event, Prefilled | Stepped) for event in state.plain_events) > 1


@pytest.mark.parametrize(("status", "is_going_on"), [("running", True), ("interrupted", False)])
def test_a_saved_run_without_end_is_going_on_or_was_interrupted(status: str, is_going_on: bool) -> None:
    state = fold_all(ViewState(), replay(Archive(status), "s1"))
    assert (state.phase, state.alert) == (("running", GOES_ON) if is_going_on else ("interrupted", ""))
    assert tiles.status_text(state).startswith("Decoding · step 3" if is_going_on else "Interrupted")
