"""Compare on a real page: a race to its end and its replay, lanes that fail, hostile texts, keys, narrow and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser.accessible import assert_accessible
from tests.browser.conftest import Held

Open = Callable[..., Any]
CONTRAST = Path(__file__).with_name("contrast.js")
SAM = (
    "Repeat this text.\n\nSam has a big dog. The dog likes to run in the park. Sam likes to run with the dog. "
    "Every day, Sam and the dog run in the park."
)
SHOWN = ".sv-text .sv-token:not(.is-later):not(.is-rejected):not(.is-unreached)"
NEVER = ".sv-root img, .sv-root a:not(.sv-tip-link), .sv-root script, .sv-root b"


class Race:
    """The Compare view of an open page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.wait_for_selector("#race-settings .sv-lane-row")
        page.wait_for_selector('#race-stage .sv-race[data-ids]:not([data-ids=""])')  # the recorded race, or another

    def choose(self, *methods: str, num_tokens: int = 24) -> None:
        """Lanes beside the plain one."""
        while self.page.locator(".sv-lane-row .sv-lane-remove").count() > len(methods):
            self.page.locator(".sv-lane-row .sv-lane-remove").last.click()
        while self.page.locator(".sv-lane-row .sv-lane-remove").count() < len(methods):
            self.page.click(".sv-lane-add")
        for place, method in enumerate(methods):
            self.page.locator(".sv-lane-row .sv-lane-line select").nth(place).select_option(method)
        self.page.locator("#race-settings details.is-sampling").evaluate("node => { node.open = true; }")
        self.page.fill("#race-settings input[name=max_new_tokens]", str(num_tokens))

    def run(self) -> None:
        """Press; a quick race may be over before anybody looks, and the one before it is shown until then."""
        ids = "document.querySelector('#race-stage .sv-race').dataset.ids"
        before = self.page.evaluate(ids)
        self.page.click("#race-run")
        self.page.wait_for_function(f"before => {ids} !== before", arg=before)

    def wait(self) -> None:
        self.page.wait_for_selector("#race-run:not([disabled])")
        self.page.wait_for_selector('#race-stage .sv-race[data-phase="finished"]')

    def lanes(self, part: str) -> list[str]:
        found: list[str] = self.page.locator(f"#race-stage .sv-lane {part}").all_inner_texts()
        return found

    def texts(self) -> list[str]:
        """Each lane's output as it is shown now."""
        script = """shown => [...document.querySelectorAll('#race-stage .sv-lane')].map((lane) =>
            [...lane.querySelectorAll(shown)].map((token) => token.textContent).join(''))"""
        found: list[str] = self.page.evaluate(script, SHOWN)
        return found

    def scrub(self, share: float) -> None:
        slider = self.page.locator(".sv-clock-slider")
        slider.evaluate(
            "(node, share) => { node.value = share * Number(node.max); node.dispatchEvent(new Event('input')); }", share
        )


def raced(visit: Open, *methods: str, num_tokens: int = 24, **options: Any) -> Race:
    """A race on the scripted server, ended."""
    race = Race(visit("?view=compare", **options).page)
    race.choose(*methods, num_tokens=num_tokens)
    race.run()
    race.wait()
    return race


def test_four_methods_race_to_the_end_and_replay_together(visit: Open, server: str) -> None:
    race = Race(visit("?view=compare", server=server).page)
    page = race.page
    page.fill("#race-prompt textarea", SAM)
    race.choose("draft_model", "prompt_lookup", "copyspec")
    race.run()
    race.wait()
    assert race.lanes(".sv-lane-title") == ["Plain decoding", "Draft model", "Prompt lookup", "CopySpec"]
    assert all(float(speed.replace(",", "")) > 0 for speed in race.lanes(".sv-lane-speed"))
    verdicts = race.lanes(".sv-lane-verdict")
    assert verdicts[0] == "baseline"
    assert set(verdicts[1:]) <= {"✓ same text", "near-tie"}
    assert sorted(race.lanes(".sv-lane-turn")) == ["ran 1st", "ran 2nd", "ran 3rd", "ran 4th"]
    page.wait_for_function("document.querySelectorAll('#race-stage .sv-chart .main-svg').length >= 8")
    assert page.locator(".sv-board-rows tbody tr").count() == 4
    whole = race.texts()
    assert all(whole)
    race.scrub(0)
    assert race.texts() == [""] * 4
    race.scrub(0.3)
    part = race.texts()
    assert all(text.startswith(shown) for shown, text in zip(part, whole, strict=True))
    assert part != whole
    page.select_option(".sv-clock-speed select", "4")
    page.click(".sv-clock-play")
    page.wait_for_function("document.querySelector('.sv-clock-play').textContent.includes('Replay')")
    assert race.texts() == whole

    assert "view=compare&ids=" in page.url
    link = Race(visit(page.url[page.url.index("?") :], server=server).page)
    link.page.wait_for_selector(".sv-board-rows tbody tr")
    assert link.texts() == whole
    assert link.lanes(".sv-lane-figures") == race.lanes(".sv-lane-figures")
    assert link.page.locator(".sv-race-order").inner_text() == page.locator(".sv-race-order").inner_text()


def test_a_lane_that_breaks_says_why_and_hostile_texts_stay_texts(visit: Open) -> None:
    race = raced(visit, "broken", "scripted", num_tokens=60)
    page = race.page
    assert race.lanes(".sv-lane-title") == ["Plain decoding", "<b>Breaks</b>", "Scripted drafts"]
    assert page.locator(".sv-lane-problem").nth(1).inner_text() == 'It broke: <img src=x onerror="window.hacked=1">'
    assert race.lanes(".sv-lane-verdict")[1:] == ["failed", "✓ same text"]
    assert "1 of 3 lanes failed" in page.locator("#race-stage .sv-status-text").inner_text()
    page.wait_for_function("document.querySelectorAll('#race-stage .sv-chart .main-svg').length >= 8")
    labels = "[...document.querySelectorAll('#race-stage .legendtext')].map((node) => node.textContent)"
    assert "<b>Breaks</b>" in page.evaluate(labels)
    assert page.locator(".sv-diff-same").inner_text() == "No token differs: Scripted drafts."
    assert page.evaluate("window.hacked") is None
    assert page.locator(NEVER).count() == 0


def test_the_table_is_copied_in_three_formats(visit: Open) -> None:
    page = raced(visit, "scripted").page
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    for name, begins in (("Markdown", "| Method | Ran as"), ("CSV", "Method,Ran as"), ("LaTeX", r"\begin{tabular}")):
        page.get_by_role("button", name=f"Copy the table as {name}").click()
        page.wait_for_function("begins => window.copied && window.copied.startsWith(begins)", arg=begins)
    assert "Scripted drafts" in page.evaluate("window.copied")


def test_stop_ends_a_race_and_keeps_what_was_decoded(visit: Open, held: Held) -> None:
    race = Race(visit("?view=compare").page)
    race.page.fill("#race-prompt textarea", held.prompt())
    race.choose("scripted", num_tokens=900)
    race.run()
    race.page.wait_for_function("document.querySelectorAll('#race-stage .sv-lane .sv-token').length > 3")
    race.page.click("#race-stop")
    race.wait()
    assert race.page.locator("#race-stage .sv-status-text").inner_text() == "Stopped. What was decoded is kept."
    assert "Not run: the race was stopped before its turn." in race.lanes(".sv-lane-problem")
    assert race.page.locator("#race-stage .sv-lane[data-phase=stopped]").count() == 1
    assert any(race.texts())


def test_a_race_by_keyboard_alone(visit: Open) -> None:
    race = raced(visit, "scripted")
    page = race.page
    page.locator(".sv-clock-play").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Shared clock"
    page.keyboard.press("Home")
    assert race.texts() == ["", ""]
    page.keyboard.press("ArrowRight")
    assert float(page.locator(".sv-clock-slider").input_value()) > 0
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.sv-clock-play').textContent.includes('Replay')")
    assert all(race.texts())
    last = page.locator("#race-stage .sv-lane").first.locator(".sv-token").last
    last.focus()
    assert page.locator("#race-stage .sv-lane .sv-card").first.is_visible()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.classList.contains('sv-token')")
    page.locator(".sv-lane-row .sv-lane-remove").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".sv-lane-row").count() == 1
    assert page.evaluate("document.activeElement.className") == "sv-lane-add"


def test_a_race_that_cannot_be_run_is_a_sentence(visit: Open) -> None:
    page = visit().page
    page.get_by_role("tab", name="Compare").click()
    race = Race(page)
    race.choose("scripted", "scripted")
    race.page.click("#race-run")
    race.page.locator("#race-stage [role=alert]").get_by_text("there twice with the same options").wait_for()
    race.page.wait_for_selector("#race-run:not([disabled])")


def test_an_address_of_no_runs_is_a_sentence(visit: Open) -> None:
    seen = visit("?view=compare&ids=nobody,nothing")
    seen.page.locator("#race-stage [role=alert]").get_by_text("There is no run 'nobody'").wait_for()
    seen.open(f"?view=compare&ids={','.join('abcdefghi')}")
    seen.page.locator("#race-stage [role=alert]").get_by_text("9 runs are too many").wait_for()


def test_a_narrow_race_does_not_scroll_sideways(visit: Open) -> None:
    race = raced(visit, "scripted", width=390, height=844)
    race.page.wait_for_function("document.querySelectorAll('#race-stage .sv-chart .main-svg').length >= 8")
    assert race.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert race.page.locator("#race-stop").is_visible()
    box = race.page.locator("#race-stage .sv-lane").nth(1).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_a_race_has_enough_contrast_light_and_dark(visit: Open) -> None:
    page = raced(visit, "broken", "scripted").page
    assert page.evaluate(CONTRAST.read_text()) == []
    assert_accessible(page, "#race-stage")
    assert_accessible(page, "#race-settings")
    poor = page.evaluate(
        f"() => {{ document.querySelector('#theme-switch').click(); return ({CONTRAST.read_text()})(); }}"
    )
    assert poor == [], "at once: no colour is on its way"
    assert page.evaluate("getComputedStyle(document.querySelector('.sv-lane')).backgroundColor") == "rgb(23, 30, 38)"


def test_an_earlier_race_opens_with_one_press(visit: Open) -> None:
    race = raced(visit, "scripted")
    ids = race.page.locator("#race-stage .sv-race").get_attribute("data-ids")
    seen = visit("?view=compare")
    again = Race(seen.page)
    first = seen.page.locator("#race-earlier .sv-earlier-race").first
    assert "2 runs" in first.inner_text()
    assert "Plain decoding, Scripted drafts" in first.inner_text()
    first.locator("button").focus()
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector(f'#race-stage .sv-race[data-ids="{ids}"][data-phase="finished"]')
    assert again.texts() == race.texts()
    assert f"ids={ids}" in seen.page.url.replace("%2C", ",")
    assert_accessible(seen.page, "#race-earlier")
    narrow = visit("?view=compare&__theme=dark", width=390, height=844)
    narrow.page.locator("#race-earlier .sv-earlier-race").first.wait_for()
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert_accessible(narrow.page, "#race-earlier")
    assert narrow.page.locator("#race-earlier img").count() == 0


def test_charts_grow_lane_by_lane_and_keep_the_zoom(visit: Open, held: Held) -> None:
    """The second lane is held in the middle: nothing of it is drawn yet."""
    race = Race(visit("?view=compare").page)
    page = race.page
    page.fill("#race-prompt textarea", held.prompt(2))
    race.choose("scripted", "broken", num_tokens=60)
    race.run()
    plot = "document.querySelector('#race-stage .sv-chart-plot')"
    page.wait_for_function(f"{plot}.data && {plot}.data.filter((line) => line.x.length > 1).length === 1")
    assert page.locator("#race-stage .sv-race").get_attribute("data-phase") == "running"
    shown = "[...document.querySelectorAll('#race-stage .sv-chart')].map((chart) => !chart.hidden)"
    assert page.evaluate(shown)[1::2] == [False, False], "the others come at the end"
    page.evaluate(f"Plotly.relayout({plot}, {{ 'yaxis.range': [5, 20] }})")
    held.let_go()
    race.wait()
    page.wait_for_function(f"{plot}.data.filter((line) => line.x.length > 1).length === 3")
    assert page.evaluate(f"{plot}.layout.yaxis.range") == [5, 20]
    page.wait_for_function(f"{shown}.every(Boolean)")
    page.locator("#race-stage .sv-board-rows").evaluate("board => { board.dataset.before = ''; }")
    race.run()
    page.locator("#race-stage [data-before]").wait_for(state="detached")
    race.wait()
