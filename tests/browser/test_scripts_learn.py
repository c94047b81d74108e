"""Learn: the tour's stops, a method's page, the glossary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.given.trace import REJECTED, WHOLE, trace
from tests.browser.scripts_page import SOON, Loaded, Scripts

LEARN = {
    "METHODS": [["plain", "Plain", "p"], ["fast", "Fast", "f"], ["wide", "Wide", "w"]],
    "FIGURES": [["speedup", "Speedup", "How much."]],
    "BENCH": [["round", "Round", "Once each."]],
    "WORDS": [["node", "Node", "A token."]],
}
PAGE = {
    "title": "T",
    "summary": "S",
    "source": "Src",
    "guarantee": "exact",
    "trees": [["p", ["a ", ["strong", ["b"]], ["script", ["x"]]]], ["table", []]],
}


def learn(scripts: Scripts, **value: Any) -> Loaded:
    run = json.dumps(trace(*(step | {"n": n} for n, step in enumerate((WHOLE, REJECTED, WHOLE)))))
    answers = {
        "read": f"() => {json.dumps(run)}",
        "method_page": f"(name) => JSON.stringify(name === 'wide' ? {{ alert: 'No page.' }} "
        f": {{ ...{json.dumps(PAGE)}, title: name }})",
    }
    loaded = scripts.load("inspector", "tour", "learn", value={"nonce": "1", **value}, answers=answers, **LEARN)
    loaded(SOON)
    return loaded


def test_a_method_is_described_by_known_elements_only(scripts: Scripts) -> None:
    loaded = learn(scripts)
    assert loaded.texts(".sv-article-title") == ["fast"], "the first that drafts"
    assert loaded.texts(".sv-article-source") == ["Src exact"]
    assert loaded.texts("article strong") == ["b"]
    assert loaded.texts("article script") == []
    assert loaded.attributes("article table", "class") == ["sv-plot-table"]
    loaded.act(".sv-method-entry", "click", 2)
    loaded(SOON)
    assert (loaded.texts("article"), loaded("place")["ids"]) == (["No page."], "wide")
    assert loaded.texts('[aria-current="true"]') == ["Wide"]
    loaded("note", {})


@pytest.mark.parametrize(("stop", "title"), [(None, "Draft"), (3, "Reject")])
def test_an_address_names_a_stop_of_the_tour(scripts: Scripts, stop: int | None, title: str) -> None:
    loaded = learn(scripts, stop=stop, method="plain")
    assert loaded.texts(".sv-tour-title, .sv-article-title") == [title, "plain"]
    loaded.act(".sv-tour-stop", "click", 1)
    assert (loaded.texts(".sv-tour-title"), loaded("place")) == (["Verify"], {"step": "2"})
    loaded.set({"nonce": "2"})
    loaded(SOON)
    assert loaded.texts(".sv-tour-title") == ["Verify"], "it stays where it is"
    loaded("note", {})


def test_an_address_names_an_entry_of_the_glossary(scripts: Scripts) -> None:
    loaded = learn(scripts, term="round")
    assert loaded.texts(".is-named dt") == ["Round"]
    assert loaded.texts(".sv-term") == ["SpeedupHow much.", "RoundOnce each.", "NodeA token."]
    loaded.set({"nonce": "2", "term": "x", "alert": "No such term."})
    loaded(SOON)
    assert (loaded.texts(".is-named"), loaded("() => [alertBox.textContent, alertBox.hidden]")) == (
        [],
        ["No such term.", False],
    )
    loaded.set({"nonce": "3", "term": "node"})
    loaded(SOON)
    assert (loaded.texts(".is-named dt"), loaded("() => alertBox.hidden")) == (["Node"], True)
