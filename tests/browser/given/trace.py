"""A run's steps and draft trees as the inspector reads them."""

from __future__ import annotations

from typing import Any

from specviz.showing.trace import judged_by
from tests.browser.scripts_page import Loaded, Scripts

# Root ─ 0 " a" ─ 1 " b" ─ 2 " c"
#      │         └ 3 " d"
#      └ 4 " e" ─ 5 " f"
PIECES = [" a", " b", " c", " d", " e", " f", " z"]
REJECTED: dict[str, Any] = {
    "n": 4,
    "ms": [1.0, 4.0, 0.5, 0.25, 0.25],
    "kv": 21,
    "path": [0],
    "id": [10, 11, 12, 13, 14, 15],
    "t": [0, 1, 2, 3, 4, 5],
    "up": [-1, 0, 1, 0, -1, 4],
    "s": [0, 1, 2, 1, 1, 2],
    "p": [0.75, 0.1, None, 0.05, 0.2, None],
    "q": [0.6, 0.4, 0.3, 0.5, 0.3, 0.2],
    "k": [
        {"id": 10, "t": 0, "raw": 0, "o": "accepted", "node": 0, "p": 0.75, "a": [[0, 10, 0.75], [4, 14, 0.2]]},
        {"id": 16, "t": 6, "raw": 6, "o": "correction", "node": None, "p": 0.85, "a": [[6, 16, 0.85], [1, 11, 0.1]]},
    ],
    "cuts": {"budget": [[1, 1, 1, 0.5], [6, 6, 1, None]], "depth": [[1, 2, 1, 0.7]], "topk": [[1, 3, 0, 0.25]]},
    "ranks": [1],
}
WHOLE = REJECTED | {
    "n": 5,
    "path": [0, 3],
    "s": [0, 1, 2, 0, 1, 2],
    "k": [
        REJECTED["k"][0],
        {"id": 13, "t": 3, "raw": 3, "o": "accepted", "node": 3, "p": 0.9, "a": []},
        {"id": 16, "t": 6, "raw": 6, "o": "bonus", "node": None, "p": 0.5, "a": []},
    ],
    "ranks": [1, 1],
}
ENDED = WHOLE | {"n": 6, "path": [0], "k": [REJECTED["k"][0]], "s": [0, 2, 2, 2, 1, 2], "ranks": [1]}
BARE = (
    REJECTED
    | {"n": 7, "path": [], "id": [], "t": [], "up": [], "s": [], "p": [], "q": [], "ranks": []}
    | {
        "k": [{"id": 16, "t": 6, "raw": 6, "o": "plain", "node": None, "p": 0.85, "a": []}],
        "cuts": {"budget": [], "depth": [], "topk": []},
    }
)


def trace(*steps: dict[str, Any], rule: str = "greedy") -> dict[str, Any]:
    run = {"id": "r", "prompt": "p", "method": "m", "model": "toy", "where": "cpu", "created": "then"}
    run |= {"rule": rule, "judgedBy": judged_by(rule)}
    return {"run": run, "pieces": PIECES, "steps": list(steps)}


def tree(scripts: Scripts) -> Loaded:
    return scripts.load("inspector")


DRAWN = """() => {
  const isTree = ([what, data]) => (what === 'react' || what === 'animate') && data.some((trace) => trace.customdata);
  const drawings = plotted.filter(isTree), [, data] = drawings[drawings.length - 1];
  const [, , layout] = drawings.filter(([what]) => what === 'react').pop();
  const nodes = data.find((trace) => trace.customdata), [first, ...others] = nodes.customdata;
  const lines = data.filter((trace) => trace.mode === 'lines' && trace.x[0] !== null);
  return { nodes, lines, layout, keys: nodes.customdata, chosen: others.includes(first) ? first : null };
}"""


def drawn_tree(loaded: Loaded) -> dict[str, Any]:
    """The tree that was drawn last: its traces, the nodes' keys, that of the chosen one first too; which that is."""
    found: dict[str, Any] = loaded(DRAWN)
    return found


def of_nodes(drawn: dict[str, Any], *path: str) -> dict[str, Any]:
    """What the nodes' trace says of each, by key."""
    values: Any = drawn["nodes"]
    for name in path:
        values = values[name]
    return dict(zip(drawn["keys"], values, strict=True))
