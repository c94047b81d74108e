"""Tokens as they are read, marked and joined; their card; the small charts over the steps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.given.tokens import NAMES, ghost, step, text, token
from tests.browser.scripts_page import Loaded, Scripts

DRAFT = step(
    3,
    token(" the", "accepted"),
    token("!", "bonus"),
    g=[ghost(" a", 0), ghost(" x", 0, "unreached"), ghost(" fox", 1), ghost(" end", 2)],
    more=5,
)


def test_a_rejected_token_stands_before_the_one_that_replaced_it(scripts: Scripts) -> None:
    order = scripts.load(*NAMES)("readingOrder", DRAFT)
    told = [part.get("more") or ("(%s)" if part["isGhost"] else "%s") % part["token"]["t"] for part in order]
    assert told == ["( a)", "( x)", " the", "( fox)", "!", "( end)", 5]


def test_what_follows_a_rejected_token_is_counted_after_two(scripts: Scripts) -> None:
    after = [ghost(f" {n}", 0, "unreached") for n in range(4)]
    many = step(0, token(" the"), g=[ghost(" a", 0), *after, ghost(" b", 0), ghost(" c", 0, "unreached")])
    order = scripts.load(*NAMES)("readingOrder", many)
    told = [part.get("more") or part["token"]["t"] for part in order]
    assert told == [" a", " 0", " 1", " b", " c", 2, " the"]
    assert text(scripts, many | {"more": 5}).texts(".sv-more") == ["+2", "+5"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (token("a", "bonus"), "sv-token is-bonus"),
        (token("", "accepted", raw="\ufffd"), "sv-token is-accepted is-empty"),
        (token("", "correction", raw="<|end|>"), "sv-token is-correction is-end"),
        (token("<b>", "plain"), "sv-token is-plain"),
    ],
)
def test_a_token_is_marked_by_where_it_came_from(scripts: Scripts, given: dict[str, Any], name: str) -> None:
    assert scripts.load(*NAMES)("tokenClass", given, given["o"]) == name


def test_blanks_stand_outside_the_mark(scripts: Scripts) -> None:
    tokens = scripts.load(*NAMES)
    given = [" fox", "fox ", "  ", "\t a b", "\n\n", ""]
    assert [tokens("tokenParts", each) for each in given] == [
        [" ", "fox"],
        ["", "fox "],
        ["", "  "],
        ["\t ", "a b"],
        ["", "\n\n"],
        ["", ""],
    ]


def test_class_label_and_step_of_every_token(scripts: Scripts) -> None:
    shown = text(scripts, DRAFT, step(4, token(" cat", "correction")), step(5, token("\n", "plain")))
    select = ".sv-text .sv-token"
    names = ["rejected", "unreached", "accepted", "rejected", "bonus", "rejected", "correction", "plain"]
    assert shown.attributes(select, "class") == [f"sv-token is-{name}" for name in names]
    assert shown.attributes(select, "data-step") == ["3"] * 6 + ["4", "5"]
    assert shown.attributes(select, "aria-label") == [
        "␣a, rejected draft",
        "␣x, draft below a rejected one, never considered",
        "␣the, accepted draft",
        "␣fox, rejected draft",
        "!, bonus",
        "␣end, rejected draft",
        "␣cat, target correction",
        "⏎, target",
    ]
    assert shown.texts(".sv-more") == ["+5"]
    assert shown.attributes(".sv-body.is-break", "class") == ["sv-body is-break"]


def test_a_paragraph_ends_with_the_line(scripts: Scripts) -> None:
    shown = text(
        scripts, step(0, token("a\n"), token("b")), step(1, token("c\n\n"), g=[ghost("x\n", 0)]), step(2, token("d"))
    )
    assert shown.texts(".sv-paragraph") == ["a\n", "bx⏎c\n\n", "d"]
    shown("(steps) => { view.clear(); view.append(steps); }", [step(0, token("e"))])
    assert shown.texts(".sv-paragraph") == ["e"], "another text begins with a paragraph of its own"


def move(shown: Loaded, key: str) -> str:
    shown("(key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))", key)
    return str(shown("() => document.activeElement.textContent"))


def test_arrow_keys_go_from_token_to_token_and_from_step_to_step(scripts: Scripts) -> None:
    steps = [step(n, token(f"{n}a"), token(f"{n}b\n"), g=[ghost("ghost", 1)]) for n in range(3)]
    shown = text(scripts, *steps)
    assert shown.attributes('.sv-text [tabindex="0"]', "data-step") == ["0"]
    shown("() => view.focusStep(1)")
    keys = "ArrowRight ArrowRight ArrowLeft ArrowUp ArrowDown ArrowDown ArrowUp End Home ArrowLeft".split()
    assert [move(shown, key) for key in keys] == ["1b\n", "2a", "1b\n", "0a", "1a", "2a", "1a", "2b\n", "0a", "0a"]
    assert shown.attributes('.sv-text [tabindex="0"]', "aria-selected") == ["true"]
    shown("() => stage.classList.add('has-ghosts')")
    assert [move(shown, key) for key in ("ArrowRight", "ArrowRight")] == ["ghost", "0b\n"]


def test_enter_opens_the_step_of_the_run_in_the_inspector(scripts: Scripts) -> None:
    shown = text(scripts, step(0, token("a")), step(4, token("b")))
    shown("() => view.focusStep(4)")
    move(shown, "Enter")
    assert shown("place") == {"view": "inspect", "run": "s", "step": "4"}


def card_of(scripts: Scripts, given: dict[str, Any], n: int = 0) -> Loaded:
    shown = text(scripts, given)
    shown("(n) => view.node.querySelectorAll('.sv-token')[n].focus()", n)
    return shown


def facts(shown: Loaded) -> dict[str, str]:
    return dict(zip(shown.texts(".sv-card dt"), shown.texts(".sv-card dd"), strict=True))


def test_the_card_says_all_that_is_known_of_a_token(scripts: Scripts) -> None:
    alternatives = [[" cat", 7, 0.75], [" dog", 9, 0.2]]
    given = token(" cat", "bonus", id=7, p=0.75, q=0.5, d=3, a=alternatives)
    shown = card_of(scripts, step(2, given, by="prompt_lookup", at=1234.5))
    assert shown.texts(".sv-card-token") == ["␣cat"]
    assert shown.texts(".sv-card-origin") == ["bonus"]
    assert facts(shown) == {
        "Token id": "7",
        "Target probability": "75.0 %",
        "Draft probability": "50.0 %",
        "Drafted by": "prompt_lookup",
        "Step, depth": "2, 3",
        "Decoded after": "1234.5 ms",
        "This step": "7.00 ms",
    }
    assert shown.texts(".sv-card li") == ["␣cat75.0 %", "␣dog20.0 %"]
    assert shown.attributes(".sv-card li", "class") == ["is-chosen", None]
    assert shown.attributes(".sv-card-bar", "style") == ["--share: 75%;", "--share: 20%;"]


def test_the_card_of_a_ghost_and_of_plain_decoding(scripts: Scripts) -> None:
    shown = card_of(scripts, step(2, token("x", "plain"), g=[ghost(" a", 0)]), 1)
    assert facts(shown)["Draft probability"] == "–", "nothing was drafted"
    shown("() => { stage.classList.add('has-ghosts'); view.node.querySelector('.is-rejected').focus(); }")
    assert shown.texts(".sv-card-origin") == ["rejected draft"]
    assert (facts(shown)["Target probability"], facts(shown)["Draft probability"]) == ("10.0 %", "40.0 %")
    assert "Drafted by" not in facts(shown)
    move(shown, "Escape")
    assert shown("() => stage.querySelector('.sv-card').hidden") is True


def test_the_step_of_a_token_is_marked_with_it(scripts: Scripts) -> None:
    shown = card_of(scripts, step(2, token("a"), token("b")))
    shown("(steps) => view.append(steps)", [step(3, token("c"))])
    shown("() => view.focusStep(2)")
    assert shown.texts(".is-sibling") == ["a", "b"]
    shown("() => view.focusStep(3)")
    assert shown.texts(".is-sibling") == ["c"]


# The charts over the steps.


def test_bars_of_a_step(scripts: Scripts) -> None:
    figures = scripts.load("dom", "address", "tooltip", "glossary", "figures")
    given = step(0, token("a"), token("b"), token("c", "bonus"), len=2)
    assert figures("emittedBar", given) == [[2, "accepted"], [1, "next is-bonus"]]
    assert figures("timeBar", given) == [[1, "draft"], [2, "target"], [4, "host"]]
    bars = [[[height - 1, "x"], [1, "y"]] for height in (9, 3, 7, 5, 1, 2, 4, 6, 8, 100)]
    assert [figures("highest", bars, share) for share in (0.5, 0.59, 0.9, 1)] == [6, 6, 100, 100]
    assert figures("highest", [], 1) == 1


DRAWN = """(steps) => new Promise((resolve) => {
  window.picked = [];
  window.charts = makeFigures((n) => picked.push(n));
  element.appendChild(charts.node);
  charts.append(steps);
  charts.summarise({ emitted: 'tokens!', time: 'time!' });
  setTimeout(resolve, 20);
})"""


def test_the_charts_have_a_bar_for_each_step_and_lead_there(scripts: Scripts) -> None:
    figures = scripts.load("dom", "address", "tooltip", "glossary", "figures")
    empty = step(1)
    steps = [step(n, token("a"), token("b", "correction")) for n in (0, 2)]
    figures(DRAWN, [steps[0], empty, steps[1]])
    assert (
        figures.attributes(".sv-figure:first-child rect", "class")
        == [
            "sv-bar is-accepted",
            "sv-bar is-next is-correction",
        ]
        * 2
    )
    assert figures.attributes(".sv-figure:first-child rect", "y") == ["0", "1"] * 2
    assert figures.attributes(".sv-figure:first-child rect", "x") == ["0.08"] * 2 + ["1.08"] * 2
    assert figures.attributes(".sv-figure:last-child rect", "height") == ["1", "2", "4"] * 2
    assert figures.texts(".sv-plot-top") == ["2 tokens", "7.0 ms"]
    assert figures.texts("figcaption") == ["tokens!", "time!"]
    figures(
        """() => { const svg = element.querySelector('svg'), { left, width } = svg.getBoundingClientRect();
          const press = (bar) => new MouseEvent('click', { clientX: left + (bar + 0.5) * width / 40 });
          for (const bar of [0, 1, 9]) svg.dispatchEvent(press(bar)); }"""
    )
    assert figures("() => picked") == [0, 2], "the second bar is the third step: one had written nothing"


def test_rejected_drafts_are_shown_by_a_press_or_by_the_key(scripts: Scripts) -> None:
    loaded = scripts.load(*NAMES)
    loaded("() => { element.appendChild(makeLegend(element)); element.appendChild(make('input', '')); }")
    shows = (
        "() => [element.classList.contains('has-ghosts'), "
        "element.querySelector('.sv-ghosts').getAttribute('aria-pressed')]"
    )
    loaded.act(".sv-ghosts", "click")
    assert loaded(shows) == [True, "true"]
    loaded.act(".sv-ghosts", "keydown", key="G")
    assert loaded(shows) == [False, "false"]
    loaded.act("input", "keydown", key="g")
    loaded.act(".sv-ghosts", "keydown", key="g", ctrlKey=True)
    assert loaded(shows) == [False, "false"], "not while one types, nor with another key held"
    names = ["accepted", "correction", "bonus", "plain", "rejected"]
    assert loaded.attributes(".sv-legend .sv-token", "class") == [f"sv-token is-{name}" for name in names]
    assert loaded.texts(".sv-legend li > span:last-child") == [
        "accepted draft",
        "correction",
        "bonus",
        "target only",
        "rejected draft",
    ]
