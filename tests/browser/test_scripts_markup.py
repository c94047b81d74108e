"""A text as lines of light Markdown, however it is cut into tokens. Pure: plain values in and out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.browser.scripts_page import Scripts

LINES = """(texts) => {
  let line = NO_LINE;
  const lines = [];
  for (const part of texts.flatMap(linesIn)) {
    if (!lines.length || line.text.endsWith('\\n')) lines.push(null);
    line = lineWith(line, part);
    lines[lines.length - 1] = [line.text, lookOf(line)];
  }
  const named = (text, spans) => spans.map(([from, to, name]) => [text.slice(from, to), name]);
  return lines.map(([text, { kind, level, spans }]) => [text, kind + (level || ''), named(text, spans)]);
}"""
ANSWER = (
    "# A *list*\n\nUse **bold `x`** and `y`.\n\n1. one\n   - two\n\n   ```python\n   def f():\n\n"
    "       return '**no**'\n   ```\n~~~\n``` # no\n~~~~\n** not ** closed **\n####### no\n"
)


def lines(scripts: Scripts, *texts: str) -> list[list[Any]]:
    found: list[list[Any]] = scripts.load("markup")(LINES, list(texts))
    return found


def kinds(scripts: Scripts, text: str) -> list[str]:
    return [kind for _, kind, _ in lines(scripts, text)]


def test_lines_of_an_answer(scripts: Scripts) -> None:
    assert [(text.rstrip("\n"), kind) for text, kind, _ in lines(scripts, ANSWER)] == [
        ("# A *list*", "heading1"),
        ("Use **bold `x`** and `y`.", "text"),
        ("1. one", "item"),
        ("   - two", "item"),
        ("   ```python", "fence"),
        ("   def f():", "code"),
        ("       return '**no**'", "code"),
        ("   ```", "fence"),
        ("~~~", "fence"),
        ("``` # no", "code"),
        ("~~~~", "fence"),
        ("** not ** closed **", "text"),
        ("####### no", "text"),
    ]


def test_what_stands_out_within_a_line(scripts: Scripts) -> None:
    (heading, sentence, item, *_) = [spans for _, _, spans in lines(scripts, ANSWER)]
    assert heading == [["#", "sign"]]
    assert sentence == [
        ["`x`", "mono"],
        ["`", "sign"],
        ["`", "sign"],
        ["**bold `x`**", "strong"],
        ["**", "sign"],
        ["**", "sign"],
        ["`y`", "mono"],
        ["`", "sign"],
        ["`", "sign"],
    ]
    assert item == [["1.", "item"]]
    assert all(not spans for _, kind, spans in lines(scripts, ANSWER) if kind in ("code", "fence"))


@pytest.mark.parametrize(
    ("text", "strong"),
    [
        ("2 ** 3 ** 4", []),
        ("**a", []),
        ("a**b**c", ["**b**"]),
        ("**a** **b**", ["**a**", "**b**"]),
        ("`**` a **", []),
        ("``a ` **b** `` **c**", ["**c**"]),
        ("` **b**", ["**b**"]),
        ("__init__ [x](javascript:alert(1)) <b>", []),
    ],
)
def test_bold_is_what_is_closed(scripts: Scripts, text: str, strong: list[str]) -> None:
    ((_, _, spans),) = lines(scripts, text)
    assert [piece for piece, name in spans if name == "strong"] == strong


def test_a_fence_is_open_until_it_closes(scripts: Scripts) -> None:
    assert kinds(scripts, "````\n```\nx") == ["fence", "code", "code"]
    assert kinds(scripts, "````\n```\nx\n`````\ny") == ["fence", "code", "code", "fence", "text"]
    assert kinds(scripts, "```a`b\nx") == ["text", "text"], "code within a line"
    assert kinds(scripts, "```\n``` x\n") == ["fence", "code"]


def test_however_a_text_is_cut_it_is_the_same(scripts: Scripts) -> None:
    whole = "".join(text for text, _, _ in lines(scripts, ANSWER))
    assert whole == ANSWER, "nothing is taken away"
    dice = random.Random(0)
    for most in (1, 3, 9):
        tokens, rest = [], ANSWER.replace("\n\n", "\n")
        once = lines(scripts, rest)
        while rest:
            size = dice.randint(1, most)
            tokens, rest = [*tokens, rest[:size]], rest[size:]
        assert lines(scripts, *tokens) == once


def test_the_line_that_a_token_goes_on_with(scripts: Scripts) -> None:
    before = scripts.load("markup")("linesBefore", ["```", "py\n  x", " = 1", "\n", "```\n", "a"])
    assert [(line["text"], line["fence"]) for line in before] == [
        ("", ""),
        ("```", ""),
        ("  x", "```"),
        ("  x = 1", "```"),
        ("  x = 1\n", "```"),
        ("```\n", "```"),
    ]


def test_a_line_in_pieces(scripts: Scripts) -> None:
    pieces = scripts.load("markup")("piecesOf", "bold** x", 4, [[0, 10, "strong"], [8, 10, "sign"], [40, 50, "mono"]])
    assert pieces == [["bold", ["strong"]], ["**", ["strong", "sign"]], [" x", []]]
    assert scripts.load("markup")("piecesOf", "a", 0, []) == [["a", []]]


def test_where_code_goes_on_that_does_not_fit(scripts: Scripts) -> None:
    markup = scripts.load("markup")
    assert [markup("hangOf", text) for text in ("x", "  x", "   x", "    x", "\tx", "  \tx", "\t   x")] == [
        4,
        4,
        8,
        8,
        8,
        8,
        12,
    ]


@pytest.mark.parametrize("text", ["`" * 9_000, "` `` " * 2_000, "**a " * 3_000, "*" * 9_001, " " * 9_000 + "`" * 9_000])
def test_a_hostile_line_is_read_in_no_time(scripts: Scripts, text: str) -> None:
    """Beyond the characters that are read, nothing costs anything: no span reaches there."""
    ((_, _, spans),) = scripts.load("markup")(LINES.replace("[text.slice(from, to), name]", "[from, to]"), [text])
    assert all(to <= 2_000 for _, to in spans)
