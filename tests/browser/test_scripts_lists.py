"""The list of saved runs: conditions, orders, pages, choices, what is done with them; runs side by side."""

from __future__ import annotations

import json

from tests.browser.given.runs import ANSWERS, LIST, asked, choose, run, sessions
from tests.browser.scripts_page import SOON, Scripts


def test_the_list_is_shown_as_it_came(scripts: Scripts) -> None:
    loaded = sessions(scripts, open="b")
    assert loaded.texts(".sv-list-head .sv-note") == ["51–53 of 120 runs. Kept."]
    assert loaded.texts("tbody .sv-open") == ["whena", "whenb", "whenc"]
    assert loaded.attributes("tbody tr", "class") == ["is-finished", "is-failed is-open", "is-finished"]
    cells = loaded(
        "() => [...element.querySelectorAll('tbody tr:first-child td')].slice(1).map((cell) => "
        "[cell.dataset.label, cell.textContent])"
    )
    assert dict(cells) == {
        "When": "whena",
        "Status": "finished",
        "Method": "methoda",
        "Model": "modela",
        "Prompt": "pstorytun",
        "Tokens": "tokensa",
        "Tokens/s": "speeda",
        "Speedup": "speedupa",
        "Block efficiency": "efficiencya",
        "Accepted": "acceptancea",
        "Verdict": "verdicta",
    }
    assert asked(loaded) == {"sort": "when", "is_descending": True, "page": 0}


def test_a_pressed_column_sorts_and_again_the_other_way(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    seen = []
    for _ in range(2):
        loaded(
            "() => [...element.querySelectorAll('.sv-sort')].find((each) => "
            "each.textContent.startsWith('Tokens/s')).click()"
        )
        loaded(SOON)
        seen.append((asked(loaded)["sort"], asked(loaded)["is_descending"]))
    assert seen == [("speed", True), ("speed", False)]
    assert loaded.texts("th[aria-sort]") == ["Tokens/s ↑ ?" + loaded.texts("th[aria-sort] .sv-tip-text")[0]]
    assert loaded.attributes("th[aria-sort]", "aria-sort") == ["ascending"]


def test_pages(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    assert loaded.texts(".sv-pager span") == ["Page 1 of 3"]
    off = "() => [...element.querySelectorAll('.sv-pager button')].map((each) => each.disabled)"
    assert loaded(off) == [True, True, False, False]
    pages = []
    for place in (2, 3, 1, 0):
        loaded.act(".sv-pager button", "click", place)
        loaded(SOON)
        pages.append(asked(loaded)["page"])
    assert pages == [1, 2, 1, 0]
    loaded.act(".sv-pager button", "click", 3)
    loaded.act(".sv-sort", "click")
    loaded(SOON)
    assert asked(loaded)["page"] == 0, "another order begins at its first page"


STATES = """() => Object.fromEntries([...element.querySelectorAll('.sv-selection button')]
  .filter((each) => !each.classList.contains('sv-mark'))
  .map((each) => [each.textContent, each.disabled ? 'off' : each.closest('[hidden]') ? 'hidden' : 'on']))"""


def test_what_can_be_done_with_the_chosen(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    assert loaded.texts(".sv-selection-count") == ["All 120 found"]
    assert [name for name, state in loaded(STATES).items() if state == "on"] == ["CSV", "Parquet"]
    choose(loaded, 0)
    one = loaded(STATES)
    assert (one["Compare"], one["Replay"], one["Inspect"], one["Save note"], one["JSONL"]) == (
        "off",
        "on",
        "on",
        "on",
        "on",
    )
    assert loaded.texts(".sv-tags button") == ["t ×", "u ×"]
    assert loaded("() => element.querySelector('.is-note input').value") == "n"
    choose(loaded, 1)
    two = loaded(STATES)
    assert (two["Compare"], two["Replay"], two["Inspect"], two["Save note"]) == ("on", "off", "off", "hidden")
    assert loaded.texts(".sv-selection-count") == ["2 runs chosen"]
    assert loaded.texts(".sv-tags button") == ["t ×", "u ×"], "each tag once"
    loaded.act(".sv-selection-actions button", "click", 0)
    assert loaded("place") == {"view": "sessions", "ids": "a,b"}


def test_eight_runs_are_compared_at_most(scripts: Scripts) -> None:
    many = LIST | {"rows": [run(f"r{n}") for n in range(9)]}
    loaded = sessions(scripts, {"find_runs": f"() => {json.dumps(json.dumps(many))}"})
    choose(loaded, *range(8))
    assert loaded(STATES)["Compare"] == "on"
    choose(loaded, 8)
    assert loaded(STATES)["Compare"] == "off"
    assert loaded("() => element.querySelector('thead .sv-choose').checked") is True
    loaded.act("thead .sv-choose", "change", checked=False)
    assert loaded.texts(".sv-selection-count") == ["All 120 found"]


def test_another_browsers_run_is_looked_at_only(scripts: Scripts) -> None:
    mixed = LIST | {"rows": [run("a"), run("b", mayChange=False)]}
    loaded = sessions(scripts, {"find_runs": f"() => {json.dumps(json.dumps(mixed))}"})
    hidden = (
        "() => [element.querySelector('.sv-selection-words').hidden, "
        "element.querySelector('.sv-selection-whose').hidden]"
    )
    choose(loaded, 0)
    assert (loaded(hidden), loaded(STATES)["Delete"]) == ([False, True], "on")
    choose(loaded, 1)
    assert (loaded(hidden), loaded(STATES)["Delete"]) == ([True, False], "off")
    assert loaded.texts(".sv-selection-whose")[0].startswith("Some of these runs")
    loaded.act("tbody .sv-choose", "change", 0, checked=False)
    assert loaded.texts(".sv-selection-whose")[0].startswith("This run was")


def test_tags_notes_and_deletions_are_told_for_the_chosen(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    choose(loaded, 0, 2)
    loaded.act(".is-tag input", "input", value="  new ")
    loaded.act("form.is-tag", "submit")
    loaded(SOON)
    assert asked(loaded, "mark_runs") == {"action": "tag", "ids": ["a", "c"], "text": "new"}
    loaded.act(".sv-tags button", "click", 1)
    loaded(SOON)
    assert asked(loaded, "mark_runs") == {"action": "untag", "ids": ["a", "c"], "text": "u"}
    loaded("() => element.querySelectorAll('.sv-selection-actions button')[6].click()")
    loaded(SOON)
    assert asked(loaded, "mark_runs") == {"action": "delete", "ids": ["a", "c"]}
    loaded.act(".sv-toast button", "click")
    loaded(SOON)
    assert asked(loaded, "mark_runs")["action"] == "restore"
    assert loaded.texts(".sv-toast") == ["The runs are back."]


def test_deleted_runs_are_counted_and_chosen_no_more(scripts: Scripts) -> None:
    deleted = "(given) => JSON.stringify({ deleted: JSON.parse(given).ids })"
    loaded = sessions(scripts, {"mark_runs": deleted})
    choose(loaded, 1)
    loaded("() => element.querySelectorAll('.sv-selection-actions button')[6].click()")
    loaded(SOON)
    assert loaded.texts(".sv-toast span") == ["1 run was deleted."]
    assert loaded.texts(".sv-selection-count") == ["All 120 found"]


def test_a_refusal_is_said_until_the_same_question_is_answered(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    choose(loaded, 0, 1)
    problem = "() => [problem.textContent, problem.hidden]"
    loaded("() => [...element.querySelectorAll('.sv-selection-files button')][0].click()")
    loaded(SOON)
    assert loaded(problem) == ["No file today.", False]
    assert asked(loaded, "export_runs") == {"kind": "jsonl", "ids": ["a", "b"]}
    loaded("() => refresh()")
    assert loaded(problem) == ["No file today.", False]
    loaded("() => { server.export_runs = async () => { throw new Error('gone'); }; }")
    loaded("() => exportRuns('csv')")
    assert loaded(problem)[0] == "The server does not answer. Nothing was changed; please try again."
    loaded(
        "() => { server.export_runs = async () => JSON.stringify({ content: 'x', type: 'text/plain', "
        "name: 'n' }); HTMLAnchorElement.prototype.click = () => {}; }"
    )
    loaded("() => exportRuns('csv')")
    assert loaded(problem) == ["", True]


def test_all_that_was_found_is_exported_where_none_is_chosen(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    loaded("() => { listing = { ...listing, page: 2, method: 'x' }; return exportRuns('csv'); }")
    listing = {"sort": "when", "is_descending": True, "page": 0, "method": "x"}
    whose = {"visitor": loaded("visitorToken")}
    assert asked(loaded, "export_runs") == {"kind": "csv", "listing": listing | whose}, "`mine` needs to know whose"


def test_where_no_files_are_taken_nobody_is_asked_for_one(scripts: Scripts) -> None:
    for given, num_buttons in (({}, 1), ({"NO_FILES": True}, 0)):
        loaded = scripts.load("browser", value={"open": ""}, answers=ANSWERS, **given)
        assert len(loaded.texts(".sv-import button")) == num_buttons


def test_imported_runs_are_counted_and_chosen(scripts: Scripts) -> None:
    loaded = sessions(scripts)
    choose(loaded, 0)
    loaded("() => importFile({ text: async () => 'lines' })")
    assert loaded.texts(".sv-toast") == ["1 run was imported. 2 were here already."]
    assert loaded("() => [...chosen]") == ["z"]
