"""A race as its stage reads it: lanes, board, messages."""

from __future__ import annotations

from typing import Any

from tests.browser.scripts_page import Loaded, Scripts


def step(n: int, at: float, size: int = 2) -> dict[str, Any]:
    tokens = [{"id": 1, "t": f" {n}", "raw": "", "o": "accepted", "p": 1, "q": 1, "d": 1, "a": []}] * size
    return {"n": n, "at": at, "ms": [1, 1, 1], "len": size, "k": tokens, "g": [], "more": 0}


def row(label: str, **more: Any) -> dict[str, Any]:
    filled = {"turn": 1, "speedup": "1.50", "verdict": "identical", "tone": "good", "problem": "", "emitted": 6}
    return {"label": label, "phase": "finished", "speed": "12.0", "seconds": "0.50", "limit": 40} | filled | more


def side(text: str, **more: Any) -> dict[str, Any]:
    return {"t": text, "following": " and", "plain": 0.6, "run": 0.3, "step": 1} | more


BOARD: dict[str, Any] = {
    "columns": [
        {"heading": "Lane", "unit": "", "isNumber": False, "terms": []},
        {"heading": "Speed", "unit": "tok/s", "isNumber": True, "terms": ["tokens-per-second"]},
    ],
    "cells": [["plain", "10"], ["fast", "20"]],
    "copies": {"Markdown": "| a |", "CSV": "a,b"},
    "diffs": [
        None,
        {
            "position": 4,
            "text": "Parts at 4.",
            "tone": "bad",
            "context": "so far",
            "plain": side(" cat"),
            "run": side(" dog", step=7),
        },
    ],
    "warnings": ["Mind the <b>gap</b>."],
    "settings": [{"name": "seed", "values": ["1", ""]}],
    "figures": {},
}
RACE = {
    "ids": ["one", "two"],
    "keys": ["plain", "fast"],
    "phase": "racing",
    "text": "t",
    "meta": "m",
    "order": "o",
    "isSaved": True,
}
LANES = [[step(0, 100), step(1, 200), step(2, 400)], [step(0, 50, 3), step(1, 100, 3)]]


def message(seq: int = 0, **more: Any) -> dict[str, Any]:
    rows = [row("plain", speedup="–", verdict="", tone=""), row("fast")]
    return {"stream": "a", "seq": seq, "alert": "", "reset": False, "race": RACE, "rows": rows, "lanes": LANES} | more


def race(scripts: Scripts, value: Any = "") -> Loaded:
    loaded = scripts.load("race")
    if value:
        loaded.set(value)
    return loaded


def ended(scripts: Scripts, **more: Any) -> Loaded:
    given = {"reset": True, "snapshot": True, "board": BOARD, "race": RACE | {"phase": "ended"}} | more
    return race(scripts, message(**given))
