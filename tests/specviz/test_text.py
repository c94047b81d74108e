"""Text on its way to a page."""

from __future__ import annotations

from specviz.text import first_line


def test_a_long_text_is_cut_to_its_length() -> None:
    assert [first_line(text, 5) for text in ("abcde", "abcdef", " a\n b ", "")] == ["abcde", "abcd…", "a b", ""]
