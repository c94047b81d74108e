"""What goes wrong at the edges, on a real page: every view says so in a sentence, and nothing is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from scripted import until

Open = Callable[..., Any]


def to_sessions(opened: Any, *chosen: str) -> Any:
    """The list, these runs chosen."""
    opened.page.get_by_role("tab", name="Sessions").click()
    for run_id in chosen:
        opened.page.locator(f'#runs tr[data-run="{run_id}"] .sv-choose').check()
    return opened.page


def press(page: Any, name: str) -> None:
    page.locator("#runs .sv-selection").get_by_role("button", name=name, exact=True).click()


def test_links_to_a_deleted_run_say_so_in_every_view(visit: Open) -> None:
    opened = visit()
    kept, gone = (opened.decode("scripted", 8, prompt=f"count {number}") for number in ("one", "two"))
    page = to_sessions(opened, gone)
    press(page, "Delete")
    page.locator(f'#runs tr[data-run="{gone}"]').wait_for(state="detached")
    for address, alert in (
        (f"?view=sessions&run={gone}", "#saved-stage [role=alert]"),
        (f"?view=sessions&ids={kept},{gone}", "#runs .sv-sides .sv-alert"),
        (f"?view=inspect&run={gone}", "#inspector [role=alert]"),
    ):
        opened.open(address)
        page.locator(alert).get_by_text("may have been deleted").wait_for()
    opened.open(f"?view=compare&ids={kept},{gone}")
    page.get_by_text("may have been deleted").first.wait_for()


def test_runs_of_different_prompts_side_by_side_carry_a_warning(visit: Open) -> None:
    opened = visit()
    page = to_sessions(opened, *(opened.decode("scripted", 8, prompt=f"count {number}") for number in ("one", "two")))
    press(page, "Compare")
    page.locator("#runs .sv-warnings").get_by_text("prompts").wait_for()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes to the database and does not come to an end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def is_saved(path: Path, run_id: str) -> bool:
    with closing(sqlite3.connect(path)) as reader:
        return bool(reader.execute("SELECT 1 FROM runs WHERE id = ? AND status = 'finished'", [run_id]).fetchall())


def test_a_locked_database_is_said_and_what_was_decoded_is_saved_later(visit: Open, database: Path) -> None:
    opened = visit()
    run_id = opened.decode("plain", 8, prompt="Tell me a story.")
    with locked(database):
        meanwhile = opened.decode("plain", 8, prompt="Tell me another.")
        assert opened.text.strip(), "decoding does not wait for the database"
        page = to_sessions(opened, run_id)
        press(page, "Delete")
        page.locator("#runs .sv-alert").get_by_text("is locked by another program").wait_for()
        assert page.locator(f'#runs tr[data-run="{run_id}"]').is_visible()
    until(lambda: is_saved(database, meanwhile))
    page.reload()
    page.locator(f'#runs tr[data-run="{meanwhile}"]').wait_for()
    assert page.locator(f'#runs tr[data-run="{run_id}"]').is_visible()
