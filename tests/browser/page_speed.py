"""How fast the page is, in Chromium: streams, lists and the inspector. The tests use the same functions.

    python -m tests.browser.page_speed stream            2,000 tokens over the scripted device
    python -m tests.browser.page_speed inspector         a run of 500 steps: opening and scrubbing
    python -m tests.browser.page_speed sessions FILE     the list over a database of scripts/many_runs.py

Frame times are those of requestAnimationFrame, long tasks those of 50 ms and more on the page's main thread, and the
heap is JavaScript's own after a collection.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.conftest import ARGUMENTS, ROOT, chromium, free_port, serve
from tests.browser.windows import Visit

NUM_TOKENS = 2_000
SCRIPTED = (str(ROOT / "tests/browser/scripted_app.py"),)
WATCH = """() => {
  window.watched = { frames: [], tasks: [] };
  let last = performance.now();
  const take = (list) => watched.tasks.push(...list.getEntries().map((task) => task.duration));
  const observer = new PerformanceObserver(take);
  observer.observe({ type: 'longtask' });
  const frame = (now) => { watched.frames.push(now - last); last = now; watched.next = requestAnimationFrame(frame); };
  watched.next = requestAnimationFrame(frame);
  watched.stop = () => { cancelAnimationFrame(watched.next); observer.disconnect(); };
}"""
SHOWN = """() => [...document.querySelectorAll('#stage .sv-text .sv-token:not(.is-rejected):not(.is-unreached)')]
  .map((token) => [Number(token.dataset.step), token.textContent])"""
SCRUB = """async (count) => {
  const slider = document.querySelector('#inspector .sv-ruler-slider');
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    slider.value = 100 + i;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
  return performance.now() - began;
}"""
ROWS_CHANGE = """before => { const note = document.querySelector('#runs .sv-note');
  return note && note.textContent !== before && !document.querySelector('.sv-sessions[aria-busy]'); }"""


@dataclass(frozen=True)
class Streamed:
    """What a page did while a run streamed into it."""

    shown: list[tuple[int, str]]
    """Step and text of every token on the page."""
    session: str
    seconds: float
    frames_ms: list[float]
    tasks_ms: list[float]
    """Long tasks."""
    heaps_mb: tuple[float, float]
    """Before and after."""
    nodes: tuple[int, int]
    """Of the document, before and after."""
    work_s: float
    """Processor time of the page's main thread, whoever else shares the machine."""

    @property
    def frame_p95_ms(self) -> float:
        """Nineteen of twenty frames came no later than this after the one before."""
        return quantile(self.frames_ms, 0.95)

    def __str__(self) -> str:
        frames = [statistics.median(self.frames_ms), self.frame_p95_ms, max(self.frames_ms)]
        return (
            f"{len(self.shown)} tokens in {self.seconds:.1f} s; frames of {frames[0]:.1f} ms (median), {frames[1]:.1f} "
            f"(p95), {frames[2]:.0f} (worst); {len(self.tasks_ms)} long tasks, {sum(self.tasks_ms):.0f} ms together, "
            f"longest {max(self.tasks_ms, default=0):.0f}; heap {self.heaps_mb[0]:.1f} to {self.heaps_mb[1]:.1f} MB; "
            f"{self.nodes[0]} to {self.nodes[1]} nodes; {self.work_s:.1f} s of the main thread's own"
        )


def stream(visit: Visit, prompt: str, method: str, num_tokens: int = NUM_TOKENS) -> Streamed:
    """Run a prompt in the Playground to its end and watch the page meanwhile."""
    session = visit.page.context.new_cdp_session(visit.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    visit.choose(method, num_tokens, prompt=prompt)
    before = _page(session)
    visit.page.evaluate(WATCH)
    began = time.perf_counter()
    visit.run()
    visit.wait()
    seconds = time.perf_counter() - began
    visit.page.evaluate("watched.stop()")
    frames, tasks = visit.page.evaluate("[watched.frames, watched.tasks]")
    after = _page(session)
    shown = [(step, text) for step, text in visit.page.evaluate(SHOWN)]
    heaps, nodes = (before[0], after[0]), (before[1], after[1])
    work_s = after[2] - before[2]
    return Streamed(shown, str(visit.stage.get_attribute("data-session")), seconds, frames, tasks, heaps, nodes, work_s)


def quantile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _page(session: Any) -> tuple[float, int, float]:
    """Heap in MB and the document's nodes after a collection, and what the main thread has worked so far."""
    for _ in range(3):  # what one collection lets go of holds more
        session.send("HeapProfiler.collectGarbage")
    values = {row["name"]: row["value"] for row in session.send("Performance.getMetrics")["metrics"]}
    return values["JSHeapUsedSize"] / 1e6, int(values["Nodes"]), float(values["TaskDuration"])


def scrub(page: Any, num_steps: int) -> float:
    """Steps a second on the clock, one a frame at most."""
    return 1000 * num_steps / float(page.evaluate(SCRUB, num_steps))


@contextmanager
def opened(*command: str) -> Iterator[Visit]:
    """A page of a server of its own."""
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp())
    servers = serve(folder, free_port(), *command)
    url = next(servers)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.set_default_timeout(90_000)
            page.goto(url)
            page.wait_for_selector("#stage .sv-stage", state="attached")
            yield Visit(page)
            browser.close()
    finally:
        servers.close()  # type: ignore[attr-defined]


def measure_stream() -> None:
    """As fast as the server writes, then at the pace of a fast model: 150 tokens/s."""
    with opened(*SCRIPTED, "--folder", tempfile.mkdtemp()) as visit:
        asked = [("count", "scripted"), ("count", "plain")]
        asked += [("slowly count", "scripted"), ("slowly count in one line", "scripted")]
        for prompt, method in asked:
            print(f"{prompt}, {method}: {stream(visit, prompt, method)}", flush=True)


def measure_inspector() -> None:
    """Opening five times, scrubbing three times."""
    with opened(*SCRIPTED, "--folder", tempfile.mkdtemp()) as visit:
        page, opening = visit.page, []
        for _ in range(5):
            page.goto(page.url.partition("?")[0])
            page.wait_for_selector("#stage .sv-stage")
            page.wait_for_timeout(1000)
            began = time.perf_counter()
            page.get_by_role("tab", name="Inspector").click()
            page.wait_for_selector('#inspector .sv-inspector[data-run="long"] .sv-tree .point')
            opening.append(1000 * (time.perf_counter() - began))
        rates = [scrub(page, 120) for _ in range(3)]
        print(f"opening, ms: {[round(ms) for ms in opening]}; scrubbing, steps/s: {[round(rate, 1) for rate in rates]}")


def measure_sessions(database: str) -> None:
    """From the press or key to the drawn rows. The page waits 250 ms after a key before it asks."""
    with opened(str(ROOT / "app.py"), "--model", "story", "--db", database) as visit:
        page, times = visit.page, {}

        def timed(name: str, act: Any) -> None:
            note = page.locator("#runs .sv-note")
            before = note.inner_text() if note.count() else None
            began = time.perf_counter()
            act()
            page.wait_for_function(ROWS_CHANGE, arg=before)
            times.setdefault(name, []).append(round(1000 * (time.perf_counter() - began)))

        timed("first page", lambda: page.get_by_role("tab", name="Sessions").click())
        for _ in range(3):
            timed("filter by method", lambda: page.select_option("#runs select[name=method]", "aded"))
            page.locator("#runs .sv-filters button[type=reset]").click()
            page.wait_for_timeout(1500)
            for name, words in (("search, one in a thousand", "zebra"), ("search, none found", "giraffe")):
                timed(name, lambda words=words: page.fill("#runs input[name=search]", words))
                page.locator("#runs .sv-filters button[type=reset]").click()
                page.wait_for_timeout(1500)
        for name, found in times.items():
            print(f"{name}, ms: {found}")


if __name__ == "__main__":
    wanted, *rest = sys.argv[1:] or ["stream"]
    {"stream": measure_stream, "inspector": measure_inspector, "sessions": measure_sessions}[wanted](*rest)
