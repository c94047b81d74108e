"""A run of seven steps, open in the inspector."""

from __future__ import annotations

from typing import Any

from tests.browser.given.trace import BARE, ENDED, REJECTED, WHOLE, trace, tree
from tests.browser.scripts_page import Loaded, Scripts

KINDS = (WHOLE, REJECTED, BARE, REJECTED, ENDED, WHOLE, REJECTED)
RUN = trace(*(step | {"n": n} for n, step in enumerate(KINDS)))
OPEN = """(trace, step) => {
  window.noted = [];
  window.inspector = makeInspector({ onStep: (n) => noted.push(n) });
  element.appendChild(inspector.node);
  inspector.load(trace, step);
}"""


def opened(scripts: Scripts, run: dict[str, Any] = RUN, step: int | None = None) -> Loaded:
    loaded = tree(scripts)
    loaded(OPEN, run, step)
    return loaded
