"""Pages of docs/ as trees of plain values."""

from __future__ import annotations

from typing import Any

from specviz.explaining import prose


def tags_of(tree: Any) -> set[str]:
    if isinstance(tree, str):
        return set()
    return {tree[0]}.union(*(tags_of(child) for child in tree[1]))


def test_documents_become_trees_of_known_tags_without_markup() -> None:
    (tree, *_) = prose._trees('A *b* [`c`](https://example.com "t") <img src=x onerror=1> ![d](e.png)')
    assert tree == ["p", ["A ", ["em", ["b"]], " ", ["code", ["c"]], " <img src=x onerror=1> ", "d"]]
    for page in (prose.method_page("draft_model"), prose._trees("| a | b |\n| - | - |\n| 1 | 2 |\n\n- x\n- y")):
        assert set().union(*(tags_of(tree) for tree in page)) <= set(prose.TAGS.values())


def test_the_glossary_is_read_whole() -> None:
    words = dict(prose.words())
    assert len(words) > 30
    assert words["bonus token"].startswith("The next token where the path reached a leaf")
