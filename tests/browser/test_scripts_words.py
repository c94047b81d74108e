"""What scripts say and count without drawing: texts, probabilities, scripts of the world, clocks, lists."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.scripts_page import Scripts


def call(scripts: Scripts, names: str, function: str, *given: Any) -> Any:
    return scripts.load(*names.split())(function, *given)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plain text\n\twith <b>", "plain text\n\twith <b>"),
        ("a\u202eb\u200bc", "a⟨U+202E⟩b⟨U+200B⟩c"),
        ("\x00\x08\x0b\x1f\x7f\x9f", "⟨U+0000⟩⟨U+0008⟩⟨U+000B⟩⟨U+001F⟩⟨U+007F⟩⟨U+009F⟩"),
        (
            "\xad\u061c\u180e\u200f\u202a\u2060\u206f\ufeff\ufff9",
            "⟨U+00AD⟩⟨U+061C⟩⟨U+180E⟩⟨U+200F⟩⟨U+202A⟩⟨U+2060⟩⟨U+206F⟩⟨U+FEFF⟩⟨U+FFF9⟩",
        ),
        ("é 漢 😀 \xa0", "é 漢 😀 \xa0"),
        ("\u2028\u3164\U000e0041", "⟨U+2028⟩⟨U+3164⟩⟨U+E0041⟩"),
        ("👨\u200d👩🏽\u200d👧 ❤\ufe0f\u200d🔥", "👨\u200d👩🏽\u200d👧 ❤\ufe0f\u200d🔥"),
        ("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"),
        ("a\u200db \u200c \u200d\u200d 👨\u200d\u200d", "a⟨U+200D⟩b ⟨U+200C⟩ ⟨U+200D⟩⟨U+200D⟩ 👨\u200d⟨U+200D⟩"),
    ],
)
def test_what_would_be_invisible_is_shown(scripts: Scripts, text: str, says: str) -> None:
    assert call(scripts, "dom", "shown", text) == says


def test_a_joiner_goes_by_the_text_before_it(scripts: Scripts) -> None:
    dom = scripts.load("dom")
    found = [dom("shownBehind", before, "\u200dx") for before in ("ab👨", "ab", "")]
    assert found == ["\u200dx", "⟨U+200D⟩x", "⟨U+200D⟩x"]


def test_tokens_that_differ_by_a_space_are_spelled_differently(scripts: Scripts) -> None:
    dom = scripts.load("dom")
    given = ["the", " the", "  the", "\xa0the", "\u3000the", "the ", "the\u200d", "the\u2009"]
    assert len({dom("spelled", text) for text in given}) == len(given)
    assert dom("spelled", "\xa0the") == "⟨U+00A0⟩the"
    assert dom("spelled", "👨\u200d") == "👨⟨U+200D⟩", "by itself it joins nothing"


def test_a_token_is_spelled_with_its_blanks(scripts: Scripts) -> None:
    dom = scripts.load("dom")
    assert [dom("spelled", text) for text in ("", " a  b", "\n", "\t\x00")] == [
        "(part of a character)",
        "␣a␣␣b",
        "⏎",
        "⇥⟨U+0000⟩",
    ]


@pytest.mark.parametrize(
    ("p", "says"),
    [
        (None, "–"),
        (0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.0005, "0.1 %"),
        (0.123, "12.3 %"),
        (0.9996, "100.0 %"),
        (1, "100.0 %"),
    ],
)
def test_a_probability_in_words(scripts: Scripts, p: float | None, says: str) -> None:
    assert call(scripts, "dom", "probability", p) == says


@pytest.mark.parametrize(("ms", "says"), [(0, "0.00 ms"), (9.994, "9.99 ms"), (10, "10.0 ms"), (123.45, "123.5 ms")])
def test_milliseconds_in_words(scripts: Scripts, ms: float, says: str) -> None:
    assert call(scripts, "dom", "milliseconds", ms) == says


@pytest.mark.parametrize(
    ("before", "after", "is_one"),
    [
        ("سل", "ام", True),
        ("سل", " ام", False),
        ("سل ", "ام", False),
        ("سلام", ".", False),
        ("سلام", "a", False),
        ("क", "ि", True),
        ("क्", "ष", True),
        ("e", "\u0301", True),
        ("👍", "🏽", True),
        ("👨", "\u200d", True),
        ("👨\u200d", "👩", True),
        ("a 🇩", "🇪", True),
        ("🇩🇪", "🇫", False),
        ("❤", "\ufe0f", True),
        ("م\u200c", "خ", False),
        ("한", "글", False),
        ("", "\u0301", False),
        (" ", "\u0301", False),
        ("Once", "upon", False),
        ("של", "ום", False),
        ("漢", "字", False),
        ("١", "٢", False),
    ],
)
def test_where_letters_are_drawn_as_one(scripts: Scripts, before: str, after: str, is_one: bool) -> None:
    assert call(scripts, "dom writing", "joins", before, after) is is_one


def test_a_word_in_a_sentence_keeps_its_direction_to_itself(scripts: Scripts) -> None:
    writing = scripts.load("dom", "writing")
    assert writing("isolated", "שלום") == "\u2068שלום\u2069"
    assert writing("isolated", "سلام") == "\u2068سلام\u2069"
    assert writing("isolated", "fox é 漢") == "fox é 漢"


STEPS = [{"at": 10}, {"at": 20}, {"at": 20}, {"at": 40}]


@pytest.mark.parametrize(("ms", "count"), [(0, 0), (9.99, 0), (10, 1), (19, 1), (20, 3), (39, 3), (40, 4), (99, 4)])
def test_steps_until_a_time(scripts: Scripts, ms: float, count: int) -> None:
    assert call(scripts, "timeline", "stepsUntil", STEPS, ms) == count
    assert call(scripts, "timeline", "stepsUntil", [], ms) == 0


def test_rates_times_and_turns_in_words(scripts: Scripts) -> None:
    timeline = scripts.load("timeline")
    assert [timeline("rateAt", 30, 1500), timeline("rateAt", 0, 0)] == ["20.0", "0.0"]
    assert timeline("seconds", 1234) == "1.23 s"
    assert [timeline("ordinal", n) for n in (1, 2, 3, 4, 10, 11, 12, 13, 21, 22, 23, 111)] == (
        "1st 2nd 3rd 4th 10th 11th 12th 13th 21st 22nd 23rd 111th".split()
    )


@pytest.mark.parametrize(
    ("ms", "speed"),
    [(20_000, 1), (5_000, 1), (4_999, 0.5), (2_500, 0.5), (2_499, 0.25), (1_249, 0.125), (10, 0.125), (0, 0.125)],
)
def test_a_replay_is_slow_enough_to_follow(scripts: Scripts, ms: float, speed: float) -> None:
    assert call(scripts, "dom timeline clock", "speedFor", ms) == speed


def test_the_clock_goes_at_its_speed(scripts: Scripts) -> None:
    clock = scripts.load("dom", "timeline", "clock")
    assert clock("clockAfter", 100, 16, 1) == 116
    assert clock("clockAfter", 100, 16, 0.25) == 104
    assert clock("clockAfter", 100, 16, 2) == 132
    assert clock("clockAfter", 100, 60_000, 2) == 600, "a page that slept does not jump"
    assert [clock("speedName", value) for value in (0.125, 0.5, 1, 4)] == ["1/8 ×", "1/2 ×", "1 ×", "4 ×"]


def listing(first: int, rows: int, total: int, **more: Any) -> dict[str, Any]:
    return {"rows": [{}] * rows, "first": first, "total": total, "size": 50, "is_filtered": False} | more


def test_a_list_in_words(scripts: Scripts) -> None:
    words = scripts.load("listwords")
    assert words("summaryOf", listing(51, 50, 12_345)) == "51–100 of 12,345 runs."
    assert words("summaryOf", listing(1, 1, 1)) == "1–1 of 1 run."
    assert words("summaryOf", listing(1, 0, 0)) == "Nothing is saved yet. Every run is kept here."
    assert words("summaryOf", listing(1, 0, 0, is_filtered=True)) == "No run fulfils all of this."
    assert [words("pagesOf", listing(1, 0, total)) for total in (0, 1, 50, 51, 100, 101)] == [1, 1, 1, 2, 2, 3]
    assert words("counted", 1, "run", "runs") == "1 run"
    assert words("counted", 0, "run", "runs") == "0 runs"


def test_a_pressed_column_turns_round_when_pressed_again(scripts: Scripts) -> None:
    words = scripts.load("listwords")
    assert words("sortedBy", {"sort": "when", "is_descending": True}, "speed") == {
        "sort": "speed",
        "is_descending": True,
    }
    assert words("sortedBy", {"sort": "speed", "is_descending": True}, "speed")["is_descending"] is False
    assert words("sortedBy", {"sort": "speed", "is_descending": False}, "speed")["is_descending"] is True


@pytest.mark.parametrize(
    ("at", "place"),
    [
        ({"left": 100, "top": 100, "bottom": 118}, {"left": 100, "top": 124}),
        ({"left": 950, "top": 100, "bottom": 118}, {"left": 792, "top": 124}),
        ({"left": 2, "top": 100, "bottom": 118}, {"left": 8, "top": 124}),
        ({"left": 100, "top": 560, "bottom": 578}, {"left": 100, "top": 494}),
        ({"left": 100, "top": 60, "bottom": 590}, {"left": 100, "top": 596}),
    ],
)
def test_a_bubble_stands_beside_its_mark_inside_the_window(
    scripts: Scripts, at: dict[str, float], place: dict[str, float]
) -> None:
    assert call(scripts, "dom address tooltip", "bubblePlace", at, {"width": 200, "height": 60}, 1000, 600) == place


@pytest.mark.parametrize(
    ("token", "place"),
    [
        ({"left": 150, "top": 200, "bottom": 220}, {"left": 38, "top": 128}),
        ({"left": 105, "top": 200, "bottom": 220}, {"left": 0, "top": 128}),
        ({"left": 690, "top": 200, "bottom": 220}, {"left": 320, "top": 128}),
        ({"left": 150, "top": 500, "bottom": 520}, {"left": 38, "top": 192}),
        ({"left": 150, "top": 150, "bottom": 520}, {"left": 38, "top": 428}),
    ],
)
def test_a_card_stands_below_its_token_inside_the_stage(
    scripts: Scripts, token: dict[str, float], place: dict[str, float]
) -> None:
    stage, card = {"left": 100, "top": 100, "width": 600}, {"width": 280, "height": 200}
    assert call(scripts, "dom card", "cardPlace", token, stage, card, 640) == place
