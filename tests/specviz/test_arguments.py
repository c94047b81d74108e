"""An endpoint is given what its signature says, or says what it wanted."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from engine.errors import BadInput
from specviz.arguments import checked


@checked
def endpoint(
    text: str,
    names: list[str],
    kind: Literal["a", "b"] = "a",
    limit: int = 5,
    share: float = 0.5,
    is_on: bool = True,
    settings: dict[str, Any] | None = None,
    who: object = None,
) -> str:
    return text


def test_what_the_signature_says_is_taken() -> None:
    assert endpoint("x", ["a"], "other", 1, 1, False, {}, who=5) == "x"
    assert endpoint("x", [], settings=None) == "x"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"text": 5}, "text is 5; wanted text."),
        ({"names": "plain"}, "names is 'plain'; wanted a list."),
        ({"names": ["a", []]}, "names holds what is no text; wanted a list of texts."),
        ({"kind": ["a"]}, "kind is ['a']; wanted text."),
        ({"limit": "5"}, "limit is '5'; wanted a whole number."),
        ({"limit": True}, "limit is True; wanted a whole number."),
        ({"limit": 5.0}, "limit is 5.0; wanted a whole number."),
        ({"share": None}, "share is None; wanted a number."),
        ({"is_on": 1}, "is_on is 1; wanted true or false."),
        ({"settings": []}, "settings is []; wanted an object."),
    ],
)
def test_another_kind_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as refused:
        endpoint(**{"text": "x", "names": ["a"], **given})
    assert str(refused.value) == told
