"""What axe-core (tests/browser/vendor, MPL-2.0, from the npm package axe-core 4.14.1) says of a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
SERIOUS = ("serious", "critical")


def serious_findings(page: Any, inside: str = "body") -> list[tuple[str, list[str]]]:
    """Each rule that something inside `inside` breaks seriously or critically, with where."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("inside => axe.run(inside, { resultTypes: ['violations'] })", inside)
    return [
        (rule["id"], [node["html"][:160] for node in rule["nodes"]][:4])
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
    ]


def assert_accessible(page: Any, inside: str = "body") -> None:
    """No serious or critical finding inside `inside`. Gradio's own hidden parts are not ours to mend."""
    assert serious_findings(page, inside) == []
