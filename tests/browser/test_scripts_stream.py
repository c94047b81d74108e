"""Messages in their order, the stage that shows them, and the replay of a saved run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.scripts_page import Loaded, Scripts


@pytest.mark.parametrize(
    ("message", "stream", "seq", "fate"),
    [
        ({"stream": "a", "seq": 0}, "", -1, "show"),
        ({"stream": "a", "seq": 3}, "", -1, "ask"),
        ({"stream": "a", "seq": 3, "snapshot": True}, "", -1, "show"),
        ({"stream": "a", "seq": 3}, "a", 2, "show"),
        ({"stream": "a", "seq": 4}, "a", 2, "ask"),
        ({"stream": "a", "seq": 2}, "a", 2, "ignore"),
        ({"stream": "a", "seq": 1}, "a", 2, "ignore"),
        ({"stream": "a", "seq": 1, "snapshot": True}, "a", 2, "ignore"),
        ({"stream": "a", "seq": 2, "snapshot": True}, "a", 2, "show"),
        ({"stream": "a", "seq": 9, "snapshot": True}, "a", 2, "show"),
        ({"stream": "b", "seq": 0}, "a", 2, "begin"),
        ({"stream": "b", "seq": 1}, "a", 2, "ask"),
        ({"stream": "b", "seq": 1, "snapshot": True}, "a", 2, "begin"),
    ],
)
def test_what_becomes_of_a_message(scripts: Scripts, message: dict[str, Any], stream: str, seq: int, fate: str) -> None:
    assert scripts.load("stream")("fateOf", message, stream, seq) == fate


FOLLOW = """() => {
  window.seen = [];
  const show = (message) => seen.push(message.seq + (message.snapshot ? '!' : ''));
  followStream({ props, server, watch }, { show, alert: (text) => seen.push(text), begin: () => seen.push('begin') });
}"""


def test_a_missing_message_is_asked_for_once_and_an_answer_that_is_older_than_a_message_again(scripts: Scripts) -> None:
    """Message 5 may be the last one: nothing that comes later would show that it is missing."""
    answers = {"snapshot": "() => new Promise((resolve) => { window.answer = resolve; })"}
    loaded = scripts.load("stream", answers=answers)
    loaded(FOLLOW)
    for seq in (0, 1, 4, 5):
        loaded.set({"stream": "a", "seq": seq})
    assert loaded.asked == [["snapshot", "a"]]
    loaded("() => answer(JSON.stringify({ stream: 'a', seq: 4, snapshot: true, alert: 'said' }))")
    loaded("() => new Promise((resolve) => setTimeout(resolve))")
    assert loaded("() => seen") == ["0", "1", "said", "4!"]
    assert loaded.asked == [["snapshot", "a"]] * 2, "5 was refused, and none may follow"
    loaded.set({"stream": "a", "seq": 8})
    loaded.set({"stream": "a", "seq": 9})
    loaded("() => answer(JSON.stringify({ stream: 'a', seq: 3, snapshot: true }))")
    loaded("() => new Promise((resolve) => setTimeout(resolve))")
    assert loaded.asked == [["snapshot", "a"]] * 3, "an answer that is stale is asked for again"
    loaded("() => answer(JSON.stringify({ stream: 'a', seq: 9, snapshot: true }))")
    loaded("() => new Promise((resolve) => setTimeout(resolve))")
    assert loaded("() => seen") == ["0", "1", "said", "4!", "9!"]
    assert loaded.asked == [["snapshot", "a"]] * 3
    loaded.set({"stream": "a", "seq": 10})
    loaded.set({"stream": "b", "seq": 0})
    loaded.set({"alert": "alone"})
    loaded.set("")
    assert loaded("() => seen")[5:] == ["10", "begin", "0", "alone"]
    loaded.set({"stream": "b", "seq": 7})
    assert loaded.asked[3:] == [["snapshot", "b"]], "the next gap is asked for too"


def test_what_is_only_offered_takes_no_place_that_is_taken(scripts: Scripts) -> None:
    """The recorded race may come when somebody has begun one already."""
    loaded = scripts.load("stream")
    loaded(FOLLOW.replace("begin: ()", "isTaken: () => seen.length > 0, begin: ()"))
    loaded.set({"stream": "a", "seq": 0, "snapshot": True, "isOffer": True})
    loaded.set({"stream": "b", "seq": 0})
    loaded.set({"stream": "c", "seq": 0, "snapshot": True, "isOffer": True})
    loaded.set({"stream": "b", "seq": 1})
    assert loaded("() => seen") == ["0!", "begin", "0", "1"]


def token(text: str, origin: str = "accepted", **more: Any) -> dict[str, Any]:
    return {"id": 1, "t": text, "raw": "", "o": origin, "p": 0.5, "q": 0.25, "d": 1, "a": []} | more


def step(n: int, *tokens: dict[str, Any], **more: Any) -> dict[str, Any]:
    kept = sum(each["o"] == "accepted" for each in tokens)
    counts = {"len": kept, "drafted": kept, "more": 0}
    return {"n": n, "at": 10.0 * (n + 1), "ms": [1, 2, 3], "verify": 1, "k": list(tokens), "g": []} | counts | more


def message(
    seq: int, steps: list[dict[str, Any]], phase: str = "running", session: str = "s", **more: Any
) -> dict[str, Any]:
    status = {"phase": phase, "text": phase + "!", "meta": "m", "session": session, "isPending": phase == "running"}
    return {"stream": "a", "seq": seq, "alert": "", "reset": False, "steps": steps, "status": status} | more


ONE, TWO, THREE = (step(n, token(f" {n}"), token("!", "bonus")) for n in range(3))
TOKENS = ".sv-text .sv-token"


def stage(scripts: Scripts, script: str = "stage", value: Any = "", **given: Any) -> Loaded:
    return scripts.load(script, value=value, **given)


def test_the_stage_adds_what_is_new_and_begins_anew_with_another_run(scripts: Scripts) -> None:
    shown = stage(scripts, value=message(0, [ONE], reset=True))
    shown.set(message(1, [TWO], phase="finished"))
    assert shown.texts(TOKENS) == [" 0", "!", " 1", "!"]
    assert shown.attributes(".sv-stage", "data-phase") == ["finished"]
    assert shown.attributes(".sv-stage", "data-session") == ["s"]
    assert (shown.texts(".sv-status-text"), shown.texts(".sv-status-meta")) == (["finished!"], ["m"])
    shown("() => { element.querySelector('.sv-text .sv-token').dataset.mark = 'kept'; }")
    whole = message(4, [ONE, TWO, THREE], phase="finished", snapshot=True, reset=True, spoken="Done.")
    shown.set(whole)
    assert shown.texts(TOKENS) == [" 0", "!", " 1", "!", " 2", "!"], "a snapshot adds only what was missed"
    assert shown.attributes('[data-mark="kept"]', "data-step") == ["0"], "and leaves the rest in place"
    assert shown.texts(".sv-stage > .sv-visually-hidden") == ["Done."]
    shown.set(message(5, [TWO], phase="finished", session="other", reset=True))
    assert shown.texts(TOKENS) == [" 1", "!"]


def test_steps_that_come_in_a_burst_are_all_drawn_in_the_end(scripts: Scripts) -> None:
    shown = stage(scripts, value=message(0, [ONE], reset=True))
    shown("() => { mayDrawAt = performance.now() + 1e6; }")
    shown.set(message(1, [TWO]))
    assert shown.texts(TOKENS) == [" 0", "!"], "drawing waits while it has taken its share of the time"
    shown.set(message(2, [THREE], phase="finished"))
    assert shown.texts(TOKENS) == [" 0", "!", " 1", "!", " 2", "!"]


def test_the_caret_stands_while_a_run_goes_on(scripts: Scripts) -> None:
    shown = stage(scripts, value=message(0, [ONE], reset=True))
    assert shown.texts(".sv-paragraph:last-child .sv-caret") == ["…"]
    shown.set(message(1, [], phase="finished"))
    assert shown.texts(".sv-caret") == []


def test_an_alert_is_said_and_taken_back(scripts: Scripts) -> None:
    shown = stage(scripts, value={"alert": "No <b>."})
    assert shown("() => [alertBox.textContent, alertBox.hidden]") == ["No <b>.", False]
    shown.set(message(0, [ONE], reset=True))
    assert shown("() => [alertBox.textContent, alertBox.hidden]") == ["", True]


TILE = {
    "key": "speed",
    "label": "Speed",
    "value": "12",
    "unit": "tok/s",
    "note": "n",
    "tone": "good",
    "terms": ["speedup"],
}


def test_a_tile_is_built_once_and_changed_in_place(scripts: Scripts) -> None:
    tiles = scripts.load("dom", "address", "tooltip", "glossary", "tiles")
    tiles("(tiles) => { window.made = makeTiles(); element.appendChild(made.node); made.update(tiles); }", [TILE])
    tiles("(tiles) => made.update(tiles)", [TILE | {"value": "13", "unit": "%", "note": "m", "tone": ""}])
    parts = [tiles.texts(f".sv-tile-{part}") for part in ("label", "value", "unit", "note")]
    assert parts == [["Speed"], ["13"], ["%"], ["m"]]
    assert tiles.attributes(".sv-tile", "class") == ["sv-tile"]
    tiles("(tiles) => made.update(tiles)", [TILE])
    assert tiles.attributes(".sv-tile", "class") == ["sv-tile is-good"]


def saved(scripts: Scripts) -> Loaded:
    recorded = message(0, [ONE, TWO, THREE], phase="finished", snapshot=True, reset=True)
    return stage(scripts, "player", value=recorded)


def test_a_saved_run_is_shown_up_to_a_step(scripts: Scripts) -> None:
    player = saved(scripts)
    assert player.texts(".sv-player-clock") == ["step 3 of 3 · 0.03 s"]
    assert player("() => [playButton.textContent, playSlider.max, playSlider.value, player.hidden]") == [
        "Replay",
        "3",
        "3",
        False,
    ]
    player.act(".sv-player-slider", "input", value="2")
    assert player.texts(TOKENS) == [" 0", "!", " 1", "!"]
    assert player.texts(".sv-player-clock") == ["step 2 of 3 · 0.02 s"]
    assert player("() => playButton.textContent") == "Play on"
    player.act(".sv-player-slider", "input", value="0")
    assert player.texts(TOKENS) == []
    player.act(".sv-player-slider", "input", value="3")
    assert player.texts(TOKENS) == [" 0", "!", " 1", "!", " 2", "!"]


@pytest.mark.parametrize(
    ("pace", "wall_ms", "count"),
    [("1", 9, 0), ("1", 11, 1), ("1", 21, 2), ("2", 9, 1), ("0.25", 50, 1), ("0.5", 50, 2), ("4", 9, 3)],
)
def test_a_replay_keeps_the_pace_that_was_chosen(scripts: Scripts, pace: str, wall_ms: float, count: int) -> None:
    player = saved(scripts)
    player(
        """(pace, ms) => {
          window.requestAnimationFrame = () => 0;
          playPace.value = pace;
          startPlaying();
          playOn(playedAt + ms);
        }""",
        pace,
        wall_ms,
    )
    assert player.texts(".sv-player-clock")[0].startswith(f"step {count} of 3")
    assert player("() => playButton.textContent") == ("Replay" if count == 3 else "Pause")


def test_a_replay_goes_on_where_it_was_stopped(scripts: Scripts) -> None:
    player = saved(scripts)
    player.act(".sv-player-slider", "input", value="1")
    player("() => { window.requestAnimationFrame = () => 0; startPlaying(); playOn(playedAt + 11); }")
    assert player.texts(".sv-player-clock")[0].startswith("step 2 of 3")
    assert player.texts(TOKENS) == [" 0", "!", " 1", "!"]
    player("() => pausePlaying()")
    player("() => playOn(playedAt + 1000)")
    assert player.texts(".sv-player-clock")[0].startswith("step 2 of 3")
