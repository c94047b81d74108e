"""Right-to-left lines and joined letters, measured as the page draws them."""

from __future__ import annotations

import pytest

from tests.browser.given.tokens import ghost, step, text, token
from tests.browser.scripts_page import Scripts

EDGES = """() => [...document.querySelectorAll('.sv-token > .sv-body')].map((node) => node.getBoundingClientRect())
  .map(({ left, right }) => [left, right])"""
HEBREW, ENGLISH = ("שלום", " עולם", ".", "\n"), ("Good", " day", ".")


def edges(scripts: Scripts, *texts: str, origin: str = "plain") -> list[list[float]]:
    found: list[list[float]] = text(scripts, step(0, *(token(each, origin) for each in texts)))(EDGES)
    return found


def test_each_paragraph_has_its_own_direction(scripts: Scripts) -> None:
    placed = edges(scripts, *HEBREW, *ENGLISH)
    first, second, stop = placed[:3]
    assert first[0] > second[0] > stop[0], "from right to left, the full stop last"
    assert first[1] > 1000, "from the right edge"
    good, day, end = placed[4:]
    assert good[0] < day[0] < end[0]
    assert good[0] < 200
    scripts.clear()
    both = edges(scripts, "שלום", ".\nGood", " day", ".")
    assert both[2][0] < both[3][0], "also where a token ends one and begins the next"


def test_a_rejected_draft_does_not_turn_its_line_around(scripts: Scripts) -> None:
    given = step(0, token("Good", "correction"), token(" day", "plain"), token(".", "plain"), g=[ghost("שלום", 0)])
    shown = text(scripts, given)
    shown("() => stage.classList.add('has-ghosts')")
    placed = shown(EDGES)
    assert placed[0][0] < placed[1][0] < placed[2][0] < placed[3][0]


WIDTH = """() => { const range = document.createRange();
  range.selectNodeContents(document.querySelector('.sv-paragraph'));
  return range.getBoundingClientRect().width; }"""
WORDS = {
    "family": ("👨\u200d", "👩\u200d👧"),
    "flag": ("🇩", "🇪"),
    "persian": ("می", "\u200cخواهم"),
    "arabic": ("مستش", "فى"),
    "syriac": ("ܫܠ", "ܡܐ"),
    "hindi": ("क", "िताब"),
    "accent": ("e", "\u0301te"),
    "letters": ("س", "لام"),
}


def bare_width(scripts: Scripts, word: str) -> float:
    """Of a word without any mark."""
    shown = text(scripts)
    shown("(word) => add(view.node, make('div', 'sv-paragraph', word))", word)
    width: float = shown(WIDTH)
    scripts.clear()
    return width


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "origins", ["accepted plain", "plain correction", "correction accepted", "bonus accepted", "accepted bonus"]
)
def test_letters_of_one_word_stay_joined_whatever_marks_them(scripts: Scripts, word: str, origins: str) -> None:
    parts = WORDS[word]
    whole = bare_width(scripts, "".join(parts))
    marked = [token(part, origin) for part, origin in zip(parts, origins.split(), strict=True)]
    shown = text(scripts, step(0, *marked))
    assert shown(WIDTH) == pytest.approx(whole, rel=0.02), "1.08 times as wide where they part"
    assert shown.attributes(".sv-text .is-joined", "class") == [f"sv-token is-{o} is-joined" for o in origins.split()]


def test_letters_join_across_a_part_of_a_character_and_a_hidden_draft(scripts: Scripts) -> None:
    whole = bare_width(scripts, "سلام")
    parts = [token("سل", "accepted"), token("", "accepted"), token("ام", "correction")]
    shown = text(scripts, step(0, *parts, g=[ghost("x", 2)]))
    assert shown(WIDTH) == pytest.approx(whole, rel=0.02)
    scripts.clear()
    apart = text(scripts, step(0, token("سلام", "accepted"), token(" سلام", "correction")))
    assert apart.attributes(".is-joined", "class") == []
