"""Links lead somewhere; decisions have their four parts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.sections import DOCS, ROOT


def pages() -> list[Path]:
    folders = (DOCS, ROOT / "assets", ROOT / "tests")
    return sorted([*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))])


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_local_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and "mailto:" not in link]
    assert [link for link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, fragment = link.partition("#")
    linked = (page.parent / name).resolve() if name else page
    if not linked.exists() or not fragment:
        return linked.exists()
    text = linked.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return fragment in map(anchor, headings) or f'<a id="{fragment}"></a>' in text


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda page: page.stem)
def test_decisions_have_their_four_parts_and_a_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.search(r"^\d{4}-\d\d-\d\d$", text, re.MULTILINE)
    for part in ("**Question.**", "**Choice.**", "**What was measured.**", "**What would change it.**"):
        assert part in text
