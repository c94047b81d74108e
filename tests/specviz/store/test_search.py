"""Lists of runs: conditions, orders, pages, from one index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy
from sqlalchemy.dialects import postgresql
from stored import copy_of, finished, started, stepped

from engine.events import Counts, SessionFinished
from specviz.store import RunCopy, Store, UnknownRun, open_store, owner
from specviz.store.models import RUNS
from specviz.store.search import SORTS, Sort, clauses, order


def ids(store: Store, **conditions: Any) -> str:
    rows, total = store.find_runs(**conditions)
    assert total == store.count_runs(**{k: v for k, v in conditions.items() if k not in ("sort", "is_descending")})
    return "".join(row.id for row in rows)


CONFIGS: list[dict[str, Any]] = [{"temperature": 0.0}, {"temperature": 0.7}, {}]


@pytest.fixture
def filled(store: Store) -> Store:
    for place, name in enumerate("abc"):
        day = f"2026-01-0{place + 1}T10:00:00+00:00"
        copy = copy_of(name, 10 * (3 - place), created_at=day, model=f"m{place}", config=CONFIGS[place])
        store.add_copies([dataclasses.replace(copy, task="Chat" if name == "b" else "", note=f"note of {name}")])
    return store


def _ascii_lower(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)


def _steps(store: Store, ask: Callable[[], object]) -> int:
    """Thousands of steps would hide a second reading of a small table, so each hundred is counted."""
    num_hundreds = 0

    def count() -> None:
        nonlocal num_hundreds
        num_hundreds += 1

    def watch(connection: Any, *_: Any) -> None:  # behind the store's own watch over time, in whose place it stands
        connection.connection.driver_connection.set_progress_handler(count, 100)

    sqlalchemy.event.listen(store._database.engine, "before_cursor_execute", watch)
    try:
        ask()
    finally:
        sqlalchemy.event.remove(store._database.engine, "before_cursor_execute", watch)
    return 100 * num_hundreds


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        ({}, "cba"),
        ({"model": "m1"}, "b"),
        ({"task": "Chat"}, "b"),
        ({"sampling": "greedy"}, "a"),
        ({"sampling": "sampled"}, "b"),
        ({"since": date(2026, 1, 2)}, "cb"),
        ({"until": date(2026, 1, 2)}, "ba"),
        ({"since": date(2026, 1, 2), "until": date(2026, 1, 2)}, "b"),
        ({"until": date.max}, "cba"),
        ({"search": "NOTE OF B"}, "b"),
        ({"search": "note_of"}, ""),
        ({"search": "/"}, ""),
        ({"search": "", "method": None, "status": ""}, "cba"),
        ({"sort": "when", "is_descending": False}, "abc"),
        ({"sort": "speed"}, "cba"),
        ({"sort": "speed", "is_descending": False}, "abc"),
        ({"sort": "model", "is_descending": False}, "abc"),
    ],
)
def test_conditions_and_orders(filled: Store, conditions: dict[str, Any], wanted: str) -> None:
    assert ids(filled, **conditions) == wanted


@pytest.mark.parametrize(
    ("sort", "wanted"), [("tokens", "acb"), ("efficiency", "bac"), ("acceptance", "cab"), ("speed", "bca")]
)
def test_each_order_goes_by_its_own_figure(store: Store, sort: Sort, wanted: str) -> None:
    """Steps, proposed, accepted, emitted and time, so that no two figures give the same order."""
    for name, counts, decode_ns in (
        ("a", Counts(10, 10, 5, 30, 10), 3_000),
        ("b", Counts(1, 20, 2, 10, 1), 10),
        ("c", Counts(20, 4, 3, 20, 20), 200),
    ):
        store.add_copies([RunCopy((started(name), SessionFinished("eos", counts, decode_ns)))])
    assert ids(store, sort=sort) == wanted
    assert ids(store, sort=sort, is_descending=False) == wanted[::-1]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        *((reason, "finished") for reason in ("eos", "length", "stop_string", "context")),
        *(("timeout", "stopped"), ("stopped", "stopped"), ("failed", "failed")),
    ],
)
def test_each_end_has_its_status(store: Store, reason: Any, status: str) -> None:
    store.add_copies([RunCopy((started("a"), finished(reason)))])
    assert (store.get_run("a").status, store.get_run("a").reason) == (status, reason)


def test_the_runs_of_a_group_stand_in_the_order_in_which_they_ran(store: Store) -> None:
    groups = [store.add_group("comparison", name) for name in "gh"]
    for name, second, group_id in (("c", 1, 0), ("a", 3, 0), ("b", 2, 0), ("x", 0, 1)):
        store.begin(started(name, f"2026-01-01T00:00:0{second}+00:00"), group_id=groups[group_id])
    store.flush()
    assert store.runs_of_groups(groups) == {groups[0]: ["c", "b", "a"], groups[1]: ["x"]}
    assert [group.title for group in store.list_groups()] == ["h", "g"]
    assert store.list_groups(kind="benchmark") == []


def test_a_run_without_the_figure_comes_last_either_way(filled: Store) -> None:
    filled.begin(started("z"))
    filled.flush()
    for is_descending in (True, False):
        assert ids(filled, sort="speed", is_descending=is_descending)[-1] == "z"


def test_an_id_is_found_by_its_beginning(store: Store) -> None:
    store.add_copies([copy_of("0123456789abcdef")])
    assert [store.count_runs(search=text) for text in ("012345", "01234", "123456")] == [1, 0, 0]


def test_what_was_said_before_a_prompt_is_found_and_no_word_of_how_it_is_kept(store: Store) -> None:
    said = [("system", "Speak like a pirate."), ("user", 'The "red"\nfox\x00?'), ("assistant", "Aye \ud83d.")]
    messages = [{"role": role, "content": content} for role, content in said]
    nonsense = {"messages": [{"role": "user"}]}
    store.add_copies([copy_of("a", config={"messages": messages}), copy_of("b"), copy_of("c", config=nonsense)])
    found = {words: ids(store, search=words) for words in ("PIRATE", 'e "red"\nfox\x00', "Aye \ud83d", "pirate.\nThe")}
    assert set(found.values()) == {"a"}, found
    assert {words: ids(store, search=words) for words in ("assistant", "content", "messages", "role")} == dict.fromkeys(
        ("assistant", "content", "messages", "role"), ""
    )


def test_pages_tell_the_number_of_all(filled: Store) -> None:
    pages = [filled.find_runs(2, offset) for offset in (0, 2, 4)]
    assert [("".join(row.id for row in rows), total) for rows, total in pages] == [("cb", 3), ("a", 3), ("", 3)]


def test_pages_of_runs_that_began_at_the_same_time_tell_the_number_of_all(store: Store) -> None:
    store.add_copies([copy_of(name) for name in "abcdefg"])
    for size in (1, 2, 3, 7):
        pages = [store.find_runs(size, offset, search="upon a") for offset in range(0, 7, size)]
        assert "".join(row.id for rows, _ in pages for row in rows) == "gfedcba"
        assert [total for _, total in pages] == [7] * len(pages)


@pytest.mark.parametrize(
    "words",
    [
        "%",
        "_",
        "/",
        "//",
        "/%",
        "50%",
        "a_b",
        "'",
        '"',
        "';--",
        '"x" OR "y"',
        "NOT",
        "a*",
        "x NEAR y",
        "{z}: ^q",
        "\\",
        "ü",
        "İ",
    ],
)
def test_every_search_is_for_the_very_words(store: Store, words: str) -> None:
    texts = {"with": f"before {words} after", "case": f"before {words.upper()} after", "other": "a1b 500 fifty x y q"}
    store.add_copies([copy_of(name, prompt=text) for name, text in texts.items()])
    wanted = {name for name, text in texts.items() if _ascii_lower(words) in _ascii_lower(text)}
    assert {row.id for row in store.list_runs(search=words)} == wanted
    assert store.count_runs(search=words) == len(wanted)


def test_values_to_choose_from_are_those_of_the_runs(filled: Store) -> None:
    filled.add_tag("a", "keep")
    known = {"method": ["draft_model"], "model": ["m0", "m1", "m2"], "task": ["Chat"], "tag": ["keep"]}
    assert filled.known_values() == known
    filled.trash(["a", "b"])
    assert filled.known_values() == {**known, "model": ["m2"], "task": [], "tag": []}


@pytest.mark.sqlite
@pytest.mark.parametrize("sort", SORTS)
def test_lists_are_read_from_one_index(store: Store, sort: Sort) -> None:
    day = {"since": date(2026, 1, 1), "until": date(2026, 2, 1)}
    equal = {"method": "aded", "model": "m", "task": "t", "status": "finished", "sampling": "greedy", "tag": "x"}
    asked = sqlalchemy.select(RUNS.c.id).where(*clauses({**equal, **day})).order_by(*order(sort, True))
    text = str(asked.compile(store._database.engine, compile_kwargs={"literal_binds": True}))
    with store._database.reading() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text.replace('%', '%%')}")]
    assert "SEARCH runs USING COVERING INDEX ix_runs_browse" in plan[0]
    assert sort != "when" or not any("ORDER BY" in line for line in plan)


@pytest.mark.sqlite
def test_a_search_reads_every_text_once(store: Store) -> None:
    """Work in SQLite's own steps, so that other work on the machine has no part in it."""
    many = 2_000
    end = SessionFinished("eos", Counts(1, 2, 1, 2, 1), 5)
    prompts = ["rare" if place % 40 == 0 else "common" for place in range(many)]
    store.add_copies(
        [RunCopy((started(f"r{place}", prompt=prompt), stepped(), end)) for place, prompt in enumerate(prompts)]
    )
    once = _steps(store, lambda: store.count_runs(search="nowhere"))
    assert once > many
    for words, total in (("rare", many // 40), ("common", many - many // 40), ("nowhere", 0)):
        found: list[int] = []

        def ask(words: str = words, found: list[int] = found) -> None:
            found.append(store.find_runs(20, search=words)[1])

        assert _steps(store, ask) < 1.3 * once, words
        assert found == [total]
    ids = [f"r{place}" for place in range(20)]
    assert _steps(store, lambda: store.get_runs(ids)) < 0.1 * once, "twenty rows are found by their ids"


@pytest.mark.sqlite
def test_a_search_finds_its_page_in_the_order_of_the_index(store: Store) -> None:
    asked = sqlalchemy.select(RUNS.c.id).where(*clauses({"search": "fox"})).order_by(*order("when", True))
    text = str(asked.compile(store._database.engine, compile_kwargs={"literal_binds": True}))
    with store._database.reading() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text.replace('%', '%%')}")]
    assert plan == ["SEARCH runs USING INDEX ix_runs_browse (deleted_at=?)"], (
        "newest first, so the first page ends early"
    )


def test_all_orders_are_named() -> None:
    assert set(SORTS) == set(get_args(Sort))


def test_postgresql_searches_without_regard_to_case() -> None:
    asked = sqlalchemy.select(RUNS.c.id).where(*clauses({"search": "50%"})).order_by(*order("speed", True))
    text = str(asked.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
    assert "runs.prompt ILIKE '%%50/%%%%' ESCAPE '/'" in text
    assert "NULLS LAST" in text


def test_a_deleted_run_is_nowhere_until_it_is_brought_back(filled: Store) -> None:
    filled.add_tag("b", "keep")
    assert filled.trash(["b", "nowhere"]) == ["b"]
    assert filled.trash(["b"]) == []
    assert ids(filled) == "ca"
    assert filled.count_runs(tag="keep") == 0
    for ask in (filled.get_run, filled.events, filled.copy, lambda name: filled.set_note(name, "")):
        with pytest.raises(UnknownRun, match="may have been deleted"):
            ask("b")
    assert filled.restore(["b", "c"]) == ["b"]
    assert ids(filled) == "cba"
    assert filled.get_run("b").tags == ("keep",)
    assert filled.events("b") == list(
        copy_of("b", 20, created_at="2026-01-02T10:00:00+00:00", model="m1", config=CONFIGS[1]).events
    )


def test_what_was_deleted_a_day_ago_is_gone_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    with open_store(tmp_path / "runs.db") as store:
        store.add_copies([copy_of("old"), copy_of("new"), copy_of("kept")])
        for name, hours in (("old", 25), ("new", 23)):
            at = (now - timedelta(hours=hours)).isoformat(timespec="microseconds")
            monkeypatch.setattr(owner, "now", lambda at=at: at)
            store.trash([name])
    monkeypatch.undo()
    with open_store(tmp_path / "runs.db") as store:
        assert sorted(store.restore(["old", "new"])) == ["new"]
        assert store.count_runs() == 2


def test_a_run_deleted_while_it_is_written_stays_deleted_and_comes_back_whole(store: Store) -> None:
    written = store.begin(started("a"))
    store.flush()
    store.trash(["a"])
    written.append(stepped())
    written.finish(finished())
    store.flush()
    assert store.count_runs() == 0
    store.restore(["a"])
    assert store.events("a") == [started("a"), stepped(), finished()]
