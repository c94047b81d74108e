"""A place with both distributions known, golden ones: p = (.5, .3, .15, .05), q = (.2, .25, .4, .15)."""

from __future__ import annotations

from typing import Any

from tests.browser.given.trace import REJECTED, trace

P, Q = (0.5, 0.3, 0.15, 0.05), (0.2, 0.25, 0.4, 0.15)
NAMES = ["<img src=x onerror=alert(1)>", "b", "c", "d"]
LAW = [[token, token, P[token], Q[token]] for token in range(4)]


def weighed(tokens: tuple[int, ...], judged: list[list[Any]], *, parents: tuple[int, ...] | None = None) -> Any:
    """A step whose drafts hold these tokens, all below the root unless said otherwise, none of them accepted."""
    num = len(tokens)
    return REJECTED | {
        "path": [],
        "id": list(tokens),
        "t": list(tokens),
        "up": list(parents or (-1,) * num),
        "s": [1] * num,
        "p": [P[token] for token in tokens],
        "q": [Q[token] for token in tokens],
        "j": judged,
        "d": [[-1, LAW]],
        "k": [{"id": 0, "t": 0, "raw": 0, "o": "correction", "node": None, "p": 0.5, "a": []}],
    }


def placed(step: Any, rule: str = "rejection") -> dict[str, Any]:
    """A run of this step."""
    return trace(step, rule=rule) | {"pieces": NAMES}


FIRST = [0, 0.375, 0.9, 0.65, 0.35]
CHAIN = weighed((2,), [FIRST])
SIBLINGS = weighed((2, 1), [FIRST, [1, 0.342857, 0.8, 0.47619, 0.183333]])
SEQUENCE = weighed((2, 3), [[0, 0.257418, 0.9, 0.543224, 0.456776], [1, 0.228816, 0.8, 0.543224, 0.208645]])
BLOCK = weighed((2, 2), [[0, None, 0.9, 0.65, 0.35, 0.0]], parents=(-1, 0))
