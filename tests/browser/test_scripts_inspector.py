"""A run step by step: moves, panels, the way to the next rejection; the tour; the exported page of several runs."""

from __future__ import annotations

import pytest

from tests.browser.given.inspector import RUN, opened
from tests.browser.given.trace import BARE, REJECTED, WHOLE, drawn_tree, of_nodes, trace
from tests.browser.scripts_page import Loaded, Scripts


def counter(shown: Loaded) -> str:
    return shown.texts(".sv-inspector-counter")[0]


def press(shown: Loaded, label: str) -> None:
    shown(
        (
            "(label) => [...element.querySelectorAll('.sv-tool')].find((each) => "
            "(each.getAttribute('aria-label') || each.firstChild.textContent) === label).click()"
        ),
        label,
    )


def test_a_press_leads_to_the_next_rejection_and_the_second_to_the_one_after(scripts: Scripts) -> None:
    shown = opened(scripts)
    seen = []
    for _ in range(4):
        press(shown, "Next rejection")
        seen.append(counter(shown))
    assert seen == ["Step 2 of 7", "Step 4 of 7", "Step 7 of 7", "Step 7 of 7"]
    assert shown.texts(".sv-inspector > .sv-visually-hidden") == ["There is none after this step."]


def test_a_press_leads_to_the_next_full_accept(scripts: Scripts) -> None:
    shown = opened(scripts)
    press(shown, "Next full accept")
    assert counter(shown) == "Step 6 of 7"
    assert "as a bonus" in shown.texts(".sv-inspector > .sv-visually-hidden")[0]


@pytest.mark.parametrize(
    ("keys", "step"),
    [("r", 2), ("R r", 4), ("f", 6), ("] ]", 3), ("] ] [", 2), ("[", 1), ("] ] ] ] ] ] ] ]", 7)],
)
def test_keys_move(scripts: Scripts, keys: str, step: int) -> None:
    shown = opened(scripts)
    for key in keys.split():
        shown.act(".sv-inspector", "keydown", key=key)
    assert counter(shown) == f"Step {step} of 7"
    shown.act(".sv-inspector", "keydown", key="r", ctrlKey=True)
    assert counter(shown) == f"Step {step} of 7"


def test_buttons_move_and_the_step_is_told(scripts: Scripts) -> None:
    shown = opened(scripts, step=3)
    assert counter(shown) == "Step 4 of 7"
    for label in ("Step on", "Step back", "Step back", "Last step", "Step on", "First step"):
        press(shown, label)
    assert shown("() => noted") == [3, 4, 3, 2, 6, 0]
    shown("(trace) => inspector.load(trace, 99)", RUN)
    assert counter(shown) == "Step 1 of 7", "a step that is none"
    shown("(trace) => inspector.load(trace, 3)", trace(*(REJECTED | {"n": n} for n in (0, 2, 4))))
    assert counter(shown) == "Step 1 of 3", "nor is one between two others"
    shown("(trace) => inspector.load(trace, null)", RUN)
    shown.act(".sv-ruler-slider", "input", value="2")
    assert counter(shown) == "Step 3 of 7"


def test_the_ruler_has_a_bar_for_each_step(scripts: Scripts) -> None:
    shown = opened(scripts, step=1)
    kinds = ["bonus", "accepted is-here", "none", "accepted", "accepted", "bonus", "accepted"]
    assert shown.attributes(".sv-ruler-bar", "class") == [f"sv-ruler-bar is-{kind}" for kind in kinds]
    assert shown.attributes(".sv-ruler-bar", "height") == ["3", "2", "1", "2", "1", "3", "2"]
    assert shown.attributes(".sv-ruler-bar", "y") == ["0", "1", "2", "1", "2", "0", "1"]
    assert shown.attributes(".sv-ruler-slider", "aria-valuetext") == ["step 1, 2 tokens"]
    assert shown(
        "() => [element.querySelector('.sv-ruler-slider').value, element.querySelector('.sv-ruler-slider').max]"
    ) == ["1", "6"]
    assert float(shown("() => element.querySelector('.sv-ruler-hand').style.left")[:-1]) == pytest.approx(
        100 * 1.5 / 7, abs=1e-3
    )
    shown("() => inspector.go(3)")
    assert shown.attributes(".is-here", "y") == ["1"], "one bar is here"


@pytest.mark.parametrize(("step", "node"), [(0, "3"), (1, "1"), (2, "next"), (4, "0")])
def test_a_step_opens_at_what_it_is_looked_at_for(scripts: Scripts, step: int, node: str) -> None:
    shown = opened(scripts, step=step)
    assert drawn_tree(shown)["chosen"] == node


def test_the_text_around_the_step(scripts: Scripts) -> None:
    shown = opened(scripts, step=3)
    texts = shown.texts(".sv-inspector-text .sv-token")
    names = [str(name).split(" ", 1)[1] for name in shown.attributes(".sv-inspector-text .sv-token", "class")]
    assert list(zip(texts, names, strict=True)) == [
        (" a d z a z z", "is-before"),
        (" a", "is-accepted is-now"),
        (" z", "is-correction is-now"),
        (" a", "is-accepted is-ahead"),
    ]
    assert shown.texts(".sv-inspector-text .sv-soft") == []
    long = opened(scripts, trace(*(WHOLE | {"n": n} for n in range(60))), 50)
    assert long.texts(".sv-inspector-text .sv-soft") == ["… "]
    before, *others = long.texts(".sv-inspector-text .sv-token")
    assert (len(before.split()), len(others)) == (90, 3 + 3)


def test_the_root_is_the_token_before(scripts: Scripts) -> None:
    shown = opened(scripts, step=1)
    assert of_nodes(drawn_tree(shown), "text")["-1"] == "z"
    shown("() => inspector.go(5)")
    assert of_nodes(drawn_tree(shown), "text")["-1"] == "a"
    press(shown, "First step")
    assert of_nodes(drawn_tree(shown), "text")["-1"] == "(prompt)"


def test_head_and_a_run_without_steps(scripts: Scripts) -> None:
    shown = opened(scripts, trace() | {"run": {"prompt": "", "id": "r", "method": "m", "created": "then"}})
    assert shown.texts(".sv-inspector-run, .sv-inspector-meta") == ["A run", "m · then UTC"]
    assert shown.texts(".sv-inspector-story") == ["This run ended before its first step."]
    assert "is-empty" in shown.attributes(".sv-inspector", "class")[0].split()
    by = opened(scripts, trace(REJECTED | {"by": "aded"}))
    assert by.texts(".sv-inspector-meta") == ["m · toy · cpu · greedy · then UTC"]
    assert by.texts(".sv-inspector-story")[0].endswith("in place of what it rejected. Drafted by aded.")


def test_playing_goes_on_to_the_end_and_begins_again(scripts: Scripts) -> None:
    shown = opened(scripts, step=5)
    shown("() => { window.setInterval = (tick) => { window.tick = tick; return 1; }; }")
    press(shown, "Play through the steps")
    play = "() => element.querySelectorAll('.sv-tool')[2].firstChild.textContent"
    assert shown(play) == "❚❚ Pause"
    shown("() => tick()")
    assert counter(shown) == "Step 7 of 7"
    shown("() => tick()")
    assert shown(play) == "▶ Play"
    press(shown, "Play through the steps")
    assert counter(shown) == "Step 1 of 7"


# The tour.


def test_every_stop_of_the_tour_shows_what_it_says(scripts: Scripts) -> None:
    loaded = scripts.load("inspector", "tour")
    run = trace(
        *(
            step | {"n": n}
            for n, step in enumerate((BARE, WHOLE, REJECTED | {"path": [], "k": REJECTED["k"][1:]}, REJECTED, WHOLE))
        )
    )
    loaded(
        (
            "(trace) => { window.stops = []; window.tour = makeTour((stop) => stops.push(stop)); "
            "element.appendChild(tour.node); tour.load(trace); }"
        ),
        run,
    )
    seen = []
    for stop in range(1, 6):
        loaded("(stop) => tour.show(stop)", stop)
        chosen = drawn_tree(loaded)["chosen"]
        seen.append((loaded.texts(".sv-tour-title")[0], counter(loaded), chosen))
    assert seen == [
        ("Draft", "Step 2 of 5", "0"),
        ("Verify", "Step 2 of 5", "3"),
        ("Reject", "Step 4 of 5", "1"),
        ("Correct", "Step 4 of 5", "next"),
        ("Bonus", "Step 5 of 5", "next"),
    ]
    assert loaded.texts('.sv-tour-stop[aria-current="step"]') == ["5  Bonus"]
    assert loaded("() => [...element.querySelectorAll('.sv-tour-moves button')].map((each) => each.disabled)") == [
        False,
        True,
    ]
    loaded("() => tour.show(9)")
    assert loaded.texts(".sv-tour-title") == ["Bonus"]
    loaded.act(".sv-tour-moves button", "click")
    loaded.act(".sv-tour-stop", "click", 1)
    assert loaded("() => stops") == [4, 2]
    loaded("() => tour.show(0)")
    assert loaded.texts(".sv-tour-title") == ["Draft"]
    assert loaded("() => [...element.querySelectorAll('.sv-tour-moves button')].map((each) => each.disabled)") == [
        True,
        False,
    ]
