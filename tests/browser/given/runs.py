"""Saved runs as the list reads them, and a list with them."""

from __future__ import annotations

import json
from typing import Any

from tests.browser.scripts_page import SOON, Loaded, Scripts


def run(name: str, **more: Any) -> dict[str, Any]:
    cells = {
        key: key + name
        for key in ("when", "method", "model", "tokens", "speed", "speedup", "efficiency", "acceptance", "verdict")
    }
    filled = {"id": name, "prompt": "p", "status": "finished", "task": "", "tags": [], "note": "", "mayChange": True}
    return cells | filled | more


ROWS = [run("a", tags=["t", "u"], task="story", note="n"), run("b", tags=["t"], status="failed"), run("c")]
LIST = {
    "rows": ROWS,
    "total": 120,
    "first": 51,
    "size": 50,
    "is_filtered": False,
    "known": {"method": ["x", "y"]},
    "kept": "Kept.",
}
ANSWERS = {
    "find_runs": f"() => {json.dumps(json.dumps(LIST))}",
    "mark_runs": (
        "(given) => { const { action, ids } = JSON.parse(given); return JSON.stringify({ [action + "
        "'d']: ids, restored: ids }); }"
    ),
    "export_runs": "() => JSON.stringify({ error: 'No file today.' })",
    "import_runs": "() => JSON.stringify({ added: ['z'], known: 2 })",
}


def sessions(scripts: Scripts, answers: dict[str, str] | None = None, **value: Any) -> Loaded:
    names = ("dom", "address", "tooltip", "glossary", "plot", "browser")
    loaded = scripts.load(*names, value={"open": "", **value}, answers=ANSWERS | (answers or {}))
    loaded(SOON)
    return loaded


def asked(loaded: Loaded, call: str = "find_runs") -> dict[str, Any]:
    """What the server was asked last, but for who asked."""
    given: dict[str, Any] = json.loads([given for name, given in loaded.asked if name == call][-1])
    given.pop("visitor", None)
    return given


def choose(loaded: Loaded, *places: int) -> None:
    for place in places:
        loaded.act("tbody .sv-choose", "change", place, checked=True)
