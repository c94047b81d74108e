"""The Sessions view on a real page: find, compare, replay, carry out and in, delete and undo."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.accessible import assert_accessible
from tests.browser.windows import Visit, Windows


def open_sessions(visit: Any, address: str = "?view=sessions", **options: Any) -> Visit:
    opened: Visit = visit(address, **options)
    opened.page.wait_for_selector("#runs .sv-filters")
    return opened


def row(opened: Visit, run_id: str) -> Any:
    return opened.page.locator(f'#runs tr[data-run="{run_id}"]')


def press(opened: Visit, text: str) -> None:
    opened.page.locator("#runs .sv-selection").get_by_role("button", name=text, exact=True).click()


def saved_file(opened: Visit, kind: str, folder: Path) -> Path:
    with opened.page.expect_download() as caught:
        press(opened, kind)
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def choose_only(opened: Visit, *run_ids: str) -> None:
    for run_id in run_ids:
        row(opened, run_id).locator(".sv-choose").check()


@pytest.fixture(scope="module")
def two_runs(windows: Windows, scripted_server: str) -> tuple[str, str]:
    """Plain decoding and a drafting method on the same example."""
    opened = Visit(windows.take(1440, 1000))
    opened.page.goto(scripted_server)
    opened.page.wait_for_selector("#stage .sv-stage")
    runs = opened.decode("plain", 24), opened.decode("scripted", 24)
    windows.give_back(opened.page, is_plain=True)
    return runs


def test_runs_are_found_compared_and_linked(visit: Any, two_runs: tuple[str, str]) -> None:
    plain, drafted = two_runs
    opened = open_sessions(visit)
    page = opened.page
    row(opened, drafted).wait_for()
    assert "Extract" in row(opened, drafted).inner_text(), "the example's task is kept"
    page.select_option("#runs select[name=method]", "scripted")
    row(opened, plain).wait_for(state="detached")
    page.fill("#runs input[name=search]", "no such words anywhere")
    page.wait_for_function("document.querySelector('#runs .sv-note').textContent.startsWith('No run fulfils')")
    page.locator("#runs .sv-filters button[type=reset]").click()
    row(opened, plain).wait_for()
    choose_only(opened, plain, drafted)
    press(opened, "Compare")
    page.wait_for_selector("#runs .sv-sides:not([hidden]) .js-plotly-plot .point, #runs .sv-sides .main-svg")
    settings = page.locator("#runs .sv-sides table").nth(1).inner_text()
    assert "method" in settings
    assert "temperature" not in settings, "only differences are shown"
    assert "ms per token" in page.locator("#runs .sv-pairs").inner_text()
    assert page.locator("#runs .sv-warnings").count() == 0, "nothing but the method differs"
    address = page.url
    assert f"ids={plain}" in address
    again = open_sessions(visit, f"?{address.partition('?')[2]}")
    again.page.wait_for_selector("#runs .sv-sides:not([hidden]) .sv-pairs li")
    assert again.page.locator("#runs .sv-pairs").inner_text() == page.locator("#runs .sv-pairs").inner_text()


def test_a_link_opens_a_run_and_it_replays(visit: Any, two_runs: tuple[str, str]) -> None:
    opened = open_sessions(visit, f"?view=sessions&run={two_runs[1]}")
    page = opened.page
    page.wait_for_selector("#saved-stage .sv-player:not([hidden])")
    tokens = page.locator("#saved-stage .sv-text .sv-token:not(.is-rejected):not(.is-unreached)")
    whole = tokens.all_text_contents()
    page.select_option("#saved-stage .sv-player select", "4")
    page.locator("#saved-stage .sv-player button").click()
    page.wait_for_function("document.querySelector('#saved-stage .sv-player button').textContent === 'Replay'")
    assert tokens.all_text_contents() == whole
    slider = page.locator("#saved-stage .sv-player input")
    slider.focus()
    page.keyboard.press("Home")
    assert tokens.count() == 0
    page.keyboard.press("ArrowRight")
    assert 0 < tokens.count() < len(whole)


def test_what_is_exported_deleted_and_imported_is_equal(visit: Any, two_runs: tuple[str, str], tmp_path: Path) -> None:
    opened = open_sessions(visit)
    page = opened.page
    _, drafted = two_runs
    row(opened, drafted).wait_for()
    choose_only(opened, drafted)
    page.fill("#runs .sv-word.is-tag input", "keep")
    page.keyboard.press("Enter")
    row(opened, drafted).locator(".is-tag", has_text="keep").wait_for()
    page.fill("#runs .sv-word.is-note input", "the first one")
    page.keyboard.press("Enter")
    row(opened, drafted).locator(".is-note").wait_for()
    before = saved_file(opened, "JSONL", tmp_path).read_text()
    assert json.loads(before.splitlines()[0])["session_id"] == drafted
    assert json.loads(before.splitlines()[-1])["note"] == "the first one"

    press(opened, "Delete")
    row(opened, drafted).wait_for(state="detached")
    page.keyboard.press("Enter")  # Undo has the focus
    row(opened, drafted).wait_for()
    choose_only(opened, drafted)
    press(opened, "Delete")
    row(opened, drafted).wait_for(state="detached")

    page.set_input_files("#runs input[type=file]", {"name": "a", "mimeType": "text/plain", "buffer": before.encode()})
    row(opened, drafted).wait_for()
    assert saved_file(opened, "JSONL", tmp_path).read_text() == before
    assert saved_file(opened, "CSV", tmp_path).read_text("utf-8-sig").startswith("id,created_at,")
    assert saved_file(opened, "Parquet", tmp_path).read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize("content", ["GIF89a", '{"kind":"session_started"}', '{"model":"gpt"}'])
def test_a_foreign_file_gets_a_sentence(visit: Any, content: str) -> None:
    opened = open_sessions(visit)
    file = {"name": "x.jsonl", "mimeType": "text/plain", "buffer": content.encode()}
    opened.page.set_input_files("#runs input[type=file]", file)
    opened.page.wait_for_selector("#runs .sv-alert:not([hidden])")
    assert opened.page.locator("#runs > * .sv-alert").first.inner_text().startswith("Line 1:")


def test_links_to_runs_that_are_not_there_say_so(visit: Any, two_runs: tuple[str, str]) -> None:
    opened = open_sessions(visit, "?view=sessions&run=nobody")
    opened.page.wait_for_selector("#saved-stage .sv-alert:not([hidden])")
    assert "There is no run 'nobody'" in opened.page.locator("#saved-stage .sv-alert").inner_text()
    opened = open_sessions(visit, f"?view=sessions&ids={two_runs[0]},nobody")
    opened.page.wait_for_selector("#runs .sv-sides .sv-alert")
    assert "There is no run 'nobody'" in opened.page.locator("#runs .sv-sides").inner_text()


def test_hostile_text_runs_nothing_here_nor_in_an_exported_page(visit: Any, browser: Any, tmp_path: Path) -> None:
    opened = visit()
    runs = [opened.decode(method, 21) for method in ("plain", "scripted")]
    opened.page.get_by_role("tab", name="Sessions").click()
    row(opened, runs[0]).wait_for()
    choose_only(opened, *runs)
    opened.page.fill("#runs .sv-word.is-tag input", "<img src=x onerror=window.hacked=9>")
    opened.page.keyboard.press("Enter")
    row(opened, runs[1]).locator(".is-tag").wait_for()
    press(opened, "Compare")
    opened.page.wait_for_selector("#runs .sv-pairs li")
    assert opened.page.evaluate("window.hacked") is None

    file = saved_file(opened, "HTML", tmp_path)
    page = browser.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector(".sv-offline-run >> nth=1")
    page.locator(".sv-offline-run").nth(1).click()
    shown = page.locator(".sv-text .sv-token").count()
    assert shown > 10
    page.select_option(".sv-player select", "4")
    page.locator(".sv-player button").click()
    page.get_by_role("button", name="Replay").wait_for()  # the page's policy forbids scripts from outside
    assert page.locator(".sv-text .sv-token").count() == shown
    token = page.locator(".sv-text .is-accepted").first
    step = int(token.get_attribute("data-step"))
    token.click()
    assert page.locator(".sv-inspector-counter").inner_text().startswith(f"Step {step + 1} of")
    inspected(page)
    assert_accessible(page)
    page.click("#theme-switch")
    assert page.evaluate("[window.hacked, document.body.classList.contains('dark')]") == [None, True]
    assert not errors
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
    page.close()


ALL_NODES_IN_TABLE = """() => {
  const drawn = document.querySelector('.sv-inspector .js-plotly-plot').data.find((trace) => trace.customdata);
  const rootAndNext = 2, marks = new Set(drawn.customdata); // the chosen one has a ring too
  return document.querySelectorAll('.sv-nodes tbody tr').length === marks.size - rootAndNext;
}"""


def inspected(page: Any) -> None:
    """Every step and node of the exported run by key, with its panels open."""
    page.locator(".sv-inspector details").evaluate_all("folds => folds.forEach((fold) => { fold.open = true; })")
    page.locator(".sv-ruler-slider").focus()
    page.keyboard.press("Home")
    counted = int(page.locator(".sv-inspector-counter").inner_text().split(" of ")[1])
    for _ in range(counted):
        page.keyboard.press("ArrowRight")
    assert page.locator(".sv-inspector-counter").inner_text() == f"Step {counted} of {counted}"
    page.keyboard.press("Home")
    page.locator(".sv-inspector .sv-tree .sv-chart-plot").focus()
    page.keyboard.press("ArrowLeft")
    chosen = page.locator(".sv-nodecard .sv-card-token").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator(".sv-nodecard .sv-card-token").inner_text() != chosen
    page.wait_for_function(ALL_NODES_IN_TABLE)  # plotly.js draws a little later
    for what, kind in (("step", "JSON"), ("tree", "SVG"), ("tree", "PNG")):
        with page.expect_download() as caught:
            page.locator(".sv-inspector").get_by_role("button", name=f"Download this {what} as {kind}").click()
        assert caught.value.suggested_filename.endswith(kind.lower())


def test_a_narrow_page_has_no_sideways_scroll_and_keys_do_everything(visit: Any, two_runs: tuple[str, str]) -> None:
    opened = open_sessions(visit, width=390, height=844)
    page = opened.page
    row(opened, two_runs[0]).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    row(opened, two_runs[0]).locator(".sv-choose").focus()
    page.keyboard.press("Space")
    assert_accessible(page, "#runs")
    assert "1 run chosen" in page.locator("#runs .sv-selection").inner_text()
    page.keyboard.press("Tab")
    assert re.match(r"Open the run of", str(page.evaluate("document.activeElement.ariaLabel")))
    page.keyboard.press("Enter")
    page.wait_for_selector("#saved-stage .sv-player:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_on_a_public_instance_others_look_and_export_only(visit: Any, public_server: str, tmp_path: Path) -> None:
    mine = visit(server=public_server)
    run_id = mine.decode("scripted", 12, prompt="count")
    for opened, may_change in ((open_sessions(visit, server=public_server), False), (mine, True)):
        page = opened.page
        page.get_by_role("tab", name="Sessions").click()
        row(opened, run_id).locator(".sv-choose").check()
        delete = page.locator("#runs .sv-selection").get_by_role("button", name="Delete", exact=True)
        assert delete.is_enabled() == may_change
        assert page.locator("#runs .sv-selection-words").is_visible() == may_change
        assert page.locator("#runs .sv-selection-whose").is_visible() != may_change
        assert page.locator("#runs .sv-import").count() == 0, "no file of a stranger is taken in"
        assert_accessible(page, "#runs")
        if not may_change:
            assert len(saved_file(opened, "JSONL", tmp_path).read_text().splitlines()) > 4
    press(mine, "Delete")
    mine.page.locator("#runs .sv-toast").get_by_role("button", name="Undo").click()
    row(mine, run_id).wait_for()
