"""Tokens of a step as the stage reads them, and a stage with them."""

from __future__ import annotations

from typing import Any

from tests.browser.scripts_page import Loaded, Scripts

NAMES = ("dom", "address", "tooltip", "glossary", "card", "writing", "lines", "tokens", "legend")


def token(text: str, origin: str = "accepted", **more: Any) -> dict[str, Any]:
    return {"id": 7, "t": text, "raw": text, "o": origin, "p": 0.5, "q": 0.25, "d": 1, "a": []} | more


def ghost(text: str, at: int, status: str = "rejected") -> dict[str, Any]:
    return {"id": 8, "t": text, "at": at, "s": status, "p": 0.1, "q": 0.4, "d": 2}


def step(n: int, *tokens: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts = {"len": 1, "drafted": 1, "more": 0}
    return {"n": n, "at": 10.0, "ms": [1, 2, 4], "verify": 1, "k": list(tokens), "g": []} | counts | more


def text(scripts: Scripts, *steps: dict[str, Any]) -> Loaded:
    """A stage with these steps in its text."""
    loaded = scripts.load(*NAMES)
    loaded(
        """(steps) => {
          window.stage = element.appendChild(make('section', 'sv-stage'));
          stage.dataset.session = 's';
          window.view = makeTokens(stage);
          stage.appendChild(view.node);
          view.append(steps);
        }""",
        list(steps),
    )
    return loaded
