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
        (token("", "accepted", raw="<0xF0>"), "sv-token is-accepted is-empty"),
        (token("", "accepted", raw="<0x9F><0x98>"), "sv-token is-accepted is-empty"),
        (token("\ufffd", "plain", raw="<0xF0>"), "sv-token is-plain is-bytes"),
        (token("<0xF0>", "plain"), "sv-token is-plain"),
        (token("", "correction", raw="<|end|>"), "sv-token is-correction is-end"),
        (token("<b>", "plain"), "sv-token is-plain"),
    ],
)
def test_a_token_is_marked_by_where_it_came_from(scripts: Scripts, given: dict[str, Any], name: str) -> None:
    assert scripts.load(*NAMES)("tokenClass", given, given["o"]) == name


def test_bytes_of_no_character_are_shown_as_bytes(scripts: Scripts) -> None:
    shown = text(scripts, step(0, token("a", "plain"), token("\ufffd\ufffd", "plain", raw="<0xF0><0x9F>")))
    assert shown.texts(".sv-text .sv-token") == ["a", "<0xF0><0x9F>"]
    assert shown.attributes(".is-bytes", "aria-label") == ["<0xF0><0x9F>, target"]


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
    shown("() => view.node.querySelector('[data-step=\"1\"]').focus()")
    keys = "ArrowRight ArrowRight ArrowLeft ArrowUp ArrowDown ArrowDown ArrowUp End Home ArrowLeft".split()
    assert [move(shown, key) for key in keys] == ["1b\n", "2a", "1b\n", "0a", "1a", "2a", "1a", "2b\n", "0a", "0a"]
    assert shown.attributes('.sv-text [tabindex="0"]', "aria-selected") == ["true"]
    shown("() => stage.classList.add('has-ghosts')")
    assert [move(shown, key) for key in ("ArrowRight", "ArrowRight")] == ["ghost", "0b\n"]


def test_enter_opens_the_step_of_the_run_in_the_inspector(scripts: Scripts) -> None:
    shown = text(scripts, step(0, token("a")), step(4, token("b")))
    shown("() => view.node.querySelector('[data-step=\"4\"]').focus()")
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
    shown("() => view.node.querySelector('[data-step=\"2\"]').focus()")
    assert shown.texts(".is-sibling") == ["a", "b"]
    shown("() => view.node.querySelector('[data-step=\"3\"]').focus()")
    assert shown.texts(".is-sibling") == ["c"]


# The charts over the steps.


SERIES = "(figure) => figure.series.map(({ name, y }) => [name, y])"


def figures(scripts: Scripts) -> Loaded:
    return scripts.load("plot", "figures")


def test_tokens_of_each_step_as_a_figure(scripts: Scripts) -> None:
    loaded = figures(scripts)
    log = [
        step(0, token("a"), token("b"), token("c", "bonus"), len=2, drafted=6),
        step(1, token("d", "correction"), len=0, drafted=4),
        step(2, token("e", "plain"), len=0, drafted=0),
        step(3, token("f"), len=1, drafted=9),
    ]
    figure = loaded("tokenFigure", log, "c")
    assert loaded(SERIES, figure) == [
        ["accepted", [2, 0, 0, 1]],
        ["correction or target", [0, 1, 1, 0]],
        ["bonus", [1, 0, 0, 0]],
        ["drafted", [6, 4, 0, 9]],
    ]
    assert (figure["kind"], figure["y"]["every"], figure["below"]["every"]) == ("stacked", 1, 5)
    assert (figure["x"]["range"], figure["x"]["every"]) == ([-0.5, 23.5], 3), "more steps will come"
    assert figure["series"][0]["labels"][0] == "step 0: 6 drafted, 2 accepted, 3 emitted"
    assert loaded("tableOf", figure)["rows"] == [[0, 6, 2, 3], [1, 4, 0, 1], [2, 0, 0, 1], [3, 9, 1, 1]]
    drawn = loaded("drawing", figure)
    assert [trace.get("yaxis") for trace in drawn["data"]] == [None, None, None, "y2"]
    assert drawn["layout"]["yaxis2"]["autorange"] == "reversed", "drafted ones hang below"
    assert [trace["hoverinfo"] for trace in drawn["data"]] == ["text", "skip", "skip", "text"], "one word a step"


def test_times_of_each_step_as_a_figure(scripts: Scripts) -> None:
    loaded = figures(scripts)
    log = [step(0, token("a"), ms=[1, 2, 4], verify=1.5), step(1, token("b"), ms=[0, 5, 0.25], verify=0.25)]
    figure = loaded("timeFigure", log, "c")
    assert loaded(SERIES, figure) == [
        ["draft", [1, 0]],
        ["target", [2, 5]],
        ["verify", [1.5, 0.25]],
        ["host", [2.5, 0]],
    ]
    assert figure["series"][0]["labels"][0] == "step 0: draft 1.00, target 2.00, verify 1.50, host 2.50 ms"
    assert figure["y"]["range"] == [0, pytest.approx(1.06 * 7)]
    assert [loaded("highest", [9, 3, 7, 5, 1, 2, 4, 6, 8, 100], share) for share in (0.5, 0.59, 0.9, 1)] == [
        6,
        6,
        100,
        100,
    ]
    assert loaded("highest", [], 1) == 1


def test_speed_over_time_is_that_of_sixteen_steps_at_a_time(scripts: Scripts) -> None:
    """As engine.run_report: 16 steps of 10 ms with 2 tokens, then 4 of 20 ms with one."""
    loaded = figures(scripts)
    log = [step(n, token("a"), token("b"), at=10 * (n + 1)) for n in range(16)]
    log += [step(16 + n, token("c"), at=160 + 20 * (n + 1)) for n in range(4)]
    assert loaded("speedsOf", log) == [
        {"n": 15, "seconds": 0.16, "speed": 200},
        {"n": 19, "seconds": 0.24, "speed": pytest.approx(50)},
    ]
    figure = loaded("speedFigure", log)
    assert figure["series"][0]["labels"][1] == "up to step 19, 0.24 s: 50.0 tokens/s"
    assert loaded("speedFigure", [])["series"][0]["x"] == []
    assert len(loaded("drawing", figure)["data"]) == 1


def test_many_steps_are_areas(scripts: Scripts) -> None:
    loaded = figures(scripts)
    log = [step(n, token("a"), drafted=3) for n in range(161)]
    figure = loaded("tokenFigure", log, "")
    assert (figure["kind"], loaded("tokenFigure", log[:160], "")["kind"]) == ("layers", "stacked")
    data = loaded("drawing", figure)["data"]
    assert [trace["stackgroup"] for trace in data] == ["above", "above", "above", "below"]
    assert len(data[0]["x"]) == 161
