"""The keys of an address."""

from __future__ import annotations

from specviz.pages.view import place


def test_an_address_holds_known_keys_only() -> None:
    assert place("?view=inspect&run=a%20b&step=4&ids=a,b&x=1&__theme=dark") == {
        "view": "inspect",
        "run": "a b",
        "step": "4",
        "ids": "a,b",
    }
    assert place(None) == {}
    assert place("?run=%ff\ud800") == {"run": "\ufffd\\ud800"}
