"""Options as data: parsing, ranges, choices and what is said where they do not fit."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import drafters, options
from engine.errors import BadInput, UnknownName
from engine.options import option


@dataclass(frozen=True)
class Sample:
    depth: int = option(4, "How deep.", low=1, high=16, unit="tokens")
    share: float = option(0.5, "How much.", low=0.0, high=1.0)
    tie: str = option("recent", "Which.", choices=("recent", "first"))
    is_eager: bool = option(False, "Whether.")
    hidden: int = 3


def test_specs_list_the_declared_options_in_order() -> None:
    assert [spec.name for spec in options.specs(Sample)] == ["depth", "share", "tie", "is_eager"]
    depth = options.specs(Sample)[0]
    assert (depth.default, depth.low, depth.high, depth.unit, depth.help) == (4, 1, 16, "tokens", "How deep.")
    assert depth.type is int
    assert depth.range_text() == "a whole number from 1 to 16 tokens"


def test_texts_become_values_of_the_options_own_type() -> None:
    found = options.parse(Sample, {"depth": " 7 ", "share": "0.25", "tie": "first", "is_eager": "yes"}, "sample")
    assert found == Sample(7, 0.25, "first", True)
    assert type(found.depth) is int
    assert options.parse(Sample, {}, "sample") == Sample()
    assert options.parse(Sample, {"depth": 5.0, "is_eager": "0"}, "sample") == Sample(depth=5, is_eager=False)


@pytest.mark.parametrize(
    ("name", "given_value", "wanted"),
    [
        ("depth", "0", "from 1 to 16 tokens"),
        ("depth", "17", "from 1 to 16 tokens"),
        ("depth", "2.5", "a whole number"),
        ("depth", "many", "a whole number"),
        ("depth", "inf", "a whole number"),
        ("depth", "nan", "a whole number"),
        ("depth", True, "a whole number"),
        ("depth", None, "a whole number"),
        ("depth", "", "a whole number"),
        ("share", "1.5", "a number from 0 to 1"),
        ("share", "nan", "a number from 0 to 1"),
        ("tie", "newest", "recent, first"),
        ("is_eager", "maybe", "true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_was_given_and_wanted(
    name: str, given_value: object, wanted: str
) -> None:
    with pytest.raises(BadInput, match=name) as caught:
        options.parse(Sample, {name: given_value}, "sample")
    assert repr(given_value) in str(caught.value)
    assert wanted in str(caught.value)


def test_an_unknown_option_names_its_owner_and_the_options_that_exist() -> None:
    with pytest.raises(UnknownName, match=r"option of sample 'width'.*depth, is_eager, share, tie"):
        options.parse(Sample, {"width": 3}, "sample")


@given(st.one_of(st.text(max_size=8), st.floats(), st.integers(), st.none(), st.booleans()))
def test_any_value_is_parsed_or_refused(given_value: object) -> None:
    for spec in options.specs(Sample):
        try:
            value = spec.parse(given_value)
        except BadInput:
            continue
        assert type(value) is spec.type
        assert spec.parse(value) == value


def test_every_text_without_choices_says_what_it_names() -> None:
    texts = [
        (name, spec)
        for name in drafters.names()
        for spec in options.specs(drafters.get(name).Options)
        if spec.type is str and not spec.choices
    ]
    assert {(name, spec.name) for name, spec in texts if spec.kind == "value"} == set()
    assert {spec.kind for _, spec in texts} == {"method", "model", "weights", "file", "text"}
    assert {
        (name, spec.name) for name, spec in texts if spec.kind != "text" and spec.default not in spec.words
    } == set()
