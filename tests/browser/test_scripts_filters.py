"""Which runs are listed, and runs side by side."""

from __future__ import annotations

import json

import pytest

from tests.browser.given.runs import LIST, SOON, asked, choose, run, sessions
from tests.browser.scripts_page import Scripts


def test_conditions_are_asked_with_and_cleared(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    assert loaded.texts("select[name=method] option") == ["all", "x", "y"]
    loaded.act("select[name=method]", "change", value="y")
    loaded(SOON)
    assert asked(loaded) == {"sort": "when", "is_descending": True, "page": 0, "method": "y"}
    loaded.act("input[name=since]", "change", value="2026-01-02")
    loaded(SOON)
    assert asked(loaded)["since"] == "2026-01-02"
    loaded("() => filters.offer({ method: ['x'] })")
    assert loaded("() => element.querySelector('select[name=method]').value") == "y", "a chosen one stays"
    loaded("() => filters.reset()")
    loaded(SOON)
    assert asked(loaded) == {"sort": "when", "is_descending": True, "page": 0}
    assert loaded("() => element.querySelector('.sv-filters button').disabled") is True


def test_the_runs_of_a_group_are_listed_until_the_group_is_left(scripts: Scripts) -> None:
    loaded = sessions(scripts, find={"group_id": "g", "method": "new"})
    assert asked(loaded) == {"sort": "when", "is_descending": True, "page": 0, "group_id": "g", "method": "new"}
    assert loaded("() => [groupChip.hidden, element.querySelector('select[name=method]').value]") == [False, "new"]
    loaded.act("select[name=status]", "change", value="failed")
    loaded(SOON)
    assert asked(loaded)["group_id"] == "g"
    loaded("() => groupChip.click()")
    loaded(SOON)
    assert "group_id" not in asked(loaded)
    assert loaded("() => groupChip.hidden") is True


def test_only_the_latest_answer_is_shown(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    slow = "() => new Promise((resolve) => { (window.answers ??= []).push(resolve); })"
    loaded(f"() => {{ server.find_runs = {slow}; refresh(); refresh(); }}")
    answer = (
        "(place, list) => { answers[place](JSON.stringify(list)); return new Promise((resolve) => "
        "setTimeout(resolve, 5)); }"
    )
    loaded(answer, 1, LIST | {"rows": [run("new")]})
    loaded(answer, 0, LIST | {"rows": [run("old")]})
    assert loaded.texts("tbody .sv-open") == ["whennew"]


SIDES = {
    "runs": [{"id": "a", "label": "A", "when": "w"}, {"id": "b", "label": "B", "when": "w"}],
    "warnings": ["Beware."],
    "measures": [["Speed", "1", "2"]],
    "terms": {},
    "settings": [["seed", "3", "4"]],
    "same": 1,
    "paired": [{"label": "B", "text": "faster"}],
    "figures": {name: {"kind": "lines", "series": []} for name in ("tokens", "differences", "acceptance", "split")},
}


def test_runs_side_by_side(scripts: Scripts) -> None:
    loaded = sessions(scripts, compare=json.dumps(SIDES))
    assert loaded.texts(".sv-warnings li") == ["Beware."]
    assert loaded.texts(".sv-sides caption") == ["Figures", "Settings that differ. One setting is the same."]
    assert loaded.texts(".sv-sides tbody tr") == ["Speed12", "seed34"]
    assert loaded.texts(".sv-pairs li") == ["B against A: faster"]
    assert loaded("() => [...chosen]") == ["a", "b"]
    loaded.act(".sv-sides .sv-open", "click", 1)
    assert loaded("place") == {"view": "sessions", "run": "b"}
    alike = sessions(scripts, compare=json.dumps(SIDES | {"settings": [], "same": 5, "warnings": []}))
    assert alike.texts(".sv-sides caption")[1] == "All settings are the same."
    differs = sessions(scripts, compare=json.dumps(SIDES | {"same": 5}))
    assert differs.texts(".sv-sides caption")[1] == "Settings that differ. 5 settings are the same."


@pytest.mark.parametrize(
    ("place", "address"), [(1, {"view": "sessions", "run": "a"}), (2, {"view": "inspect", "run": "a"})]
)
def test_a_chosen_run_is_opened(scripts: Scripts, place: int, address: dict[str, str]) -> None:
    loaded = sessions(scripts)
    choose(loaded, 0)
    loaded.act(".sv-selection-actions button", "click", place)
    assert loaded("place") == address
    loaded("note", {})
    loaded.act("tbody .sv-open", "click", 1)
    assert loaded("place") == {"view": "sessions", "run": "b"}
