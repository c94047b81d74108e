"""The Benchmark view on a real page: the example, a benchmark from start over stop to its end, reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from specviz.bench.shelf import REPORTS
from tests.browser.accessible import assert_accessible
from tests.browser.conftest import Held

Open = Callable[..., Any]
HOSTILE = '<img src=x onerror="window.hacked=1"> ${Object.assign(window,{hacked:2})} {{hacked}} $x^2$'


def opened(visit: Open, address: str = "?view=bench", **options: Any) -> Any:
    """The page of the view, its charts drawn."""
    page = visit(address, **options).page
    page.wait_for_selector("#bench-board .sv-bench-pair .main-svg")
    return page


def ask(page: Any, prompts: str, num_tokens: int) -> None:
    """Prompts of one's own only, two methods."""
    for group, kept in (("#bench-suites", ()), ("#bench-methods", ("Prompt lookup",))):
        for box in page.locator(f"{group} label").all():
            box.locator("input").set_checked(box.inner_text().strip() in kept)
    page.fill("#bench-own textarea", prompts)
    page.fill("#bench-tokens input", str(num_tokens))


def state(page: Any, phase: str) -> None:
    page.wait_for_selector(f'#bench-progress [data-phase="{phase}"]', state="attached")


def saved(page: Any, name: str, folder: Path) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download this report as {name}").click()
    path = folder / name
    download.value.save_as(path)
    return path.read_text(encoding="utf-8")


def test_the_page_opens_with_a_labelled_example_that_explains_itself(visit: Open, tmp_path: Path) -> None:
    page = opened(visit)
    assert "Example" in page.locator("#bench-picker option:checked").inner_text()
    assert "Measured 2026" in page.locator(".sv-bench-about").inner_text()
    cells = page.locator("#bench-board .sv-chart").first.locator(".heatmaplayer, .hm").count()
    assert cells > 0
    assert page.locator("#bench-board .sv-chart").first.get_by_text("▼").count() > 0
    suite = page.get_by_role("group", name="Suite of the figures below").get_by_role("button").first
    suite.click()
    page.get_by_text(f"Block efficiency against speedup: {suite.inner_text()}").wait_for()
    page.get_by_role("button", name="What is Expected?").focus()
    page.locator(".sv-tip-text:popover-open").get_by_text("theorem 3.8 of Leviathan").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#bench-estimate").inner_text().strip().endswith(".")
    assert json.loads(saved(page, "JSON", tmp_path))["rows"]
    assert "| suite | method |" in saved(page, "Markdown", tmp_path)
    assert "<!doctype html>" in saved(page, "HTML", tmp_path)
    assert_accessible(page, "#bench-board")


def test_a_benchmark_is_stopped_goes_on_and_opens_by_its_address(visit: Open, held: Held) -> None:
    page = opened(visit)
    ask(page, f"{HOSTILE}\n{held.prompt(2)}\nWrite about a cat.", 12)
    page.locator("#bench-estimate").get_by_text("6 timed runs: 3 prompts × 2 methods").wait_for()
    page.click("#bench-start")
    page.wait_for_selector("#bench-stop:not([disabled])")
    page.wait_for_function(
        "document.querySelector('#bench-progress [role=progressbar]').getAttribute('aria-valuenow') > 0"
    )
    page.click("#bench-stop")
    state(page, "stopped")
    page.get_by_role("button", name="Go on with this one").click()
    state(page, "finished")
    page.wait_for_selector("#bench-board .sv-bench-table td")
    rows = page.locator("#bench-board .sv-bench-table tbody tr").all_inner_texts()
    assert {row.split()[0] for row in rows} == {"plain", "prompt_lookup"}
    assert page.locator("#bench-picker option:checked").inner_text().startswith("own prompts: prompt_lookup")
    address = page.url
    assert "view=bench&run=" in address
    again = opened(visit, address[address.index("?") :])
    assert again.locator("#bench-picker option:checked").inner_text().startswith("own prompts: prompt_lookup")
    assert again.evaluate("window.hacked") is None
    again.get_by_role("button", name="prompt_lookup: the saved runs behind this row").click()
    again.wait_for_function("document.querySelectorAll('#runs tbody tr').length >= 3")
    assert "view=sessions&group=" in again.url
    assert "method=prompt_lookup" in again.url
    assert {row.inner_text() for row in again.locator("#runs td:nth-child(4)").all()} == {"prompt_lookup"}
    assert_accessible(again, "#runs")
    linked = visit(again.url[again.url.index("?") :]).page
    linked.wait_for_function("document.querySelectorAll('#runs tbody tr').length >= 3")
    linked.get_by_role("button", name="Runs of one group").click()
    linked.wait_for_function("!document.querySelector('.sv-group-chip:not([hidden])')")
    assert "group=" not in linked.url
    again.go_back()
    again.wait_for_selector("#bench-board .sv-bench-pair .main-svg")
    field = again.locator("#bench-board .sv-chart").first.locator(".heatmaplayer, .hm").first.bounding_box()
    again.mouse.click(field["x"] + field["width"] / 4, field["y"] + field["height"] / 4)
    again.wait_for_function("location.search.includes('view=sessions&group=')")


def test_what_cannot_be_measured_is_a_sentence(visit: Open) -> None:
    page = opened(visit)
    ask(page, "", 12)
    page.click("#bench-start")
    page.locator("#bench-progress [role=alert]").get_by_text("nothing to ask").wait_for()
    ask(page, "Tell me a story.", 12)
    page.fill("#bench-options textarea", "prompt_lookup: width=9")
    page.locator("#bench-estimate").get_by_text("Unknown option of prompt_lookup 'width'").wait_for()
    page.fill("#bench-options textarea", "prompt_lookup: depth=7")
    page.locator("#bench-estimate").get_by_text("2 timed runs").wait_for()
    page = visit("?view=bench&run=nobody").page
    page.locator("#bench-board [role=alert]").get_by_text("There is no benchmark 'nobody'").wait_for()


def test_dark_narrow_and_by_keyboard(visit: Open) -> None:
    page = opened(visit, "?view=bench&__theme=dark", width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#bench-board .sv-chart").first.bounding_box()["y"] < 844, "figures before controls"
    page.get_by_role("button", name="Measure your own").click()
    assert page.evaluate("document.activeElement.closest('#bench-suites') !== null")
    assert page.locator("#bench-estimate").bounding_box()["y"] < 844
    picker = page.locator("#bench-picker")
    picker.select_option(label=picker.locator("option", has_text="Example").first.inner_text())
    suites = page.get_by_role("group", name="Suite of the figures below")
    name = suites.get_by_role("button").nth(1).inner_text()
    suites.get_by_role("button").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text(f"Block efficiency against speedup: {name}").wait_for()
    assert suites.locator('[aria-pressed="true"]').inner_text() == name
    assert_accessible(page, "#bench-board")


def test_reports_from_elsewhere_stand_side_by_side_by_keyboard_alone(visit: Open) -> None:
    page = opened(visit)
    given = json.loads(sorted(REPORTS.glob("*cpu-bf16.json"))[0].read_text(encoding="utf-8"))
    for name in ("Before", HOSTILE):
        report = {**given, "model": name, "cells": given["cells"][:400]}
        shown = page.locator("#bench-picker").input_value()
        file = {"name": "r.json", "mimeType": "application/json", "buffer": json.dumps(report).encode()}
        page.get_by_label("Report of engine bench --json").set_input_files([file])
        page.wait_for_function("shown => document.querySelector('#bench-picker').value !== shown", arg=shown)
    page.get_by_role("button", name="Rename").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("After")
    page.keyboard.press("Enter")
    page.locator("#bench-picker option:checked", has_text="After").wait_for(state="attached")
    page.locator("#bench-other").focus()
    page.keyboard.type("repair")
    page.locator(".sv-bench-beside td", has_text="1.00×").first.wait_for()
    assert HOSTILE in page.locator(".sv-bench-warning").inner_text()
    assert_accessible(page, "#bench-board")
    assert page.evaluate("window.hacked") is None
    page.get_by_role("button", name="Delete").focus()
    for _ in range(2):
        page.keyboard.press("Enter")
    page.wait_for_function("() => !document.querySelector('#bench-picker').textContent.includes('After')")
