"""Pages of docs/ as trees of plain values, from which a page's script makes elements. No markup ever leaves here.

A tree is a text or `[tag, children]` with a tag of TAGS. Links keep their text and lose their address, images go.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

DOCS = Path(__file__).resolve().parents[2] / "docs"
TAGS = {
    "paragraph": "p",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "strong": "strong",
    "em": "em",
    "code_inline": "code",
    "fence": "pre",
    "heading": "h4",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
}
Tree = str | list[Any]


@functools.cache
def method_page(name: str) -> tuple[Tree, ...]:
    """The section of docs/methods.md on a method; empty where there is none."""
    return _trees(_section("methods.md", name))


@functools.cache
def words() -> tuple[tuple[str, str], ...]:
    """The glossary: each word and its meaning."""
    rows = re.findall(r"^\| ([^|`]+) \| ([^|]+) \|", _section("glossary.md", "Words"), re.MULTILINE)
    return tuple((word.strip(), _bare(meaning)) for word, meaning in rows if word.strip() not in ("Word", "---"))


def _section(page: str, title: str) -> str:
    """What stands under a second-level heading."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def _bare(text: str) -> str:
    return re.sub(r"[*`]", "", text).strip()


def _trees(text: str) -> tuple[Tree, ...]:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return tuple(tree for child in SyntaxTreeNode(parser.parse(text)).children for tree in _tree(child))


def _tree(node: SyntaxTreeNode) -> list[Tree]:
    """A node as trees: a text, one element, or its children where the element itself is not kept."""
    if node.type in ("text", "code_block"):
        return [node.content]
    if node.type in ("softbreak", "hardbreak"):
        return [" "]
    if node.type in ("code_inline", "fence"):
        return [[TAGS[node.type], [node.content]]]
    children = [tree for child in node.children for tree in _tree(child)]
    return [[TAGS[node.type], children]] if node.type in TAGS else children
