"""What visitors may ask of an instance, in numbers and in words; the doors hold to it in test_doorway.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import BadInput
from specviz.policy import HOME, PUBLIC, SPECS, policy_of


def test_home_limits_nothing_and_public_is_strict() -> None:
    assert (HOME.offered(), HOME.seconds(1), HOME.seconds(8), HOME.imports, HOME.benchmarks) == (
        None,
        0,
        0,
        "any",
        "any",
    )
    assert (PUBLIC.offered(), PUBLIC.seconds(1), PUBLIC.seconds(2)) == ((), 60, 180)
    assert (PUBLIC.imports, PUBLIC.benchmarks, PUBLIC.sharing, PUBLIC.keep_days) == ("off", "off", "private", 30)
    assert all(getattr(PUBLIC, name) for name in ("per_visitor", "per_address", "keep_gb"))


def test_what_is_said_takes_the_place_of_the_kinds_own() -> None:
    said = policy_of(True, {"max_tokens": "64", "models": "a, b,", "imports": "small", "keep_days": "0.5"}, "sesame")
    assert said == replace(PUBLIC, max_tokens=64, models="a, b,", imports="small", keep_days=0.5, moderator="sesame")
    assert said.offered() == ("a", "b")
    assert policy_of(False, {}) == HOME
    assert "sesame" not in repr(said)


@pytest.mark.parametrize(("name", "value"), [("max_tokens", "2001"), ("imports", "some"), ("keep_days", "-1")])
def test_what_cannot_be_used_is_a_sentence(name: str, value: str) -> None:
    with pytest.raises(BadInput, match=f"Option {name} is '{value}'"):
        policy_of(True, {name: value})


def test_lengths_files_and_benchmarks_are_held_to_it() -> None:
    PUBLIC.check_length(512)
    with pytest.raises(BadInput, match="max_new_tokens is 513; this instance takes at most 512"):
        PUBLIC.check_length(513)
    small = replace(PUBLIC, imports="small", benchmarks="small")
    small.check_import(5_000_000)
    small.check_benchmark(200, 128)
    for given in ((201, 128), (200, 129)):
        with pytest.raises(BadInput, match="at most 200 of 128"):
            small.check_benchmark(*given)
    with pytest.raises(BadInput, match="5,000,001 characters"):
        small.check_import(5_000_001)
    with pytest.raises(BadInput, match="takes no files"):
        PUBLIC.check_import(0)
    with pytest.raises(BadInput, match="measures no benchmarks"):
        PUBLIC.check_benchmark(1, 1)
    HOME.check_import(10**9)
    HOME.check_benchmark(10**6, 2_000)


def test_only_the_moderators_own_token_is_the_moderators() -> None:
    guarded = replace(PUBLIC, moderator="sesame")
    assert [guarded.is_moderator(token) for token in ("sesame", "sesam", "", None, 3, "\ud800")] == [True, *[False] * 5]
    assert not any(PUBLIC.is_moderator(token) for token in ("", None, "sesame"))


def test_visitors_read_no_folders_in_public() -> None:
    said = "Cannot load /home/alice/models/secret or C:\\Users\\alice\\m: see https://example.org/a/b, 3/4, ~/x/y.json."
    assert PUBLIC.shown(said) == "Cannot load …/secret or …/m: see https://example.org/a/b, 3/4, …/y.json."
    assert HOME.shown(said) == said


def test_it_says_itself_in_words() -> None:
    assert HOME.in_words() == "At home: everybody who opens this page may change all."
    told = replace(PUBLIC, contact="someone@example.org").in_words()
    for part in ("public", "512 tokens", "a run 60 s", "a race 180 s", "30 days", "10 GB", "someone@example.org"):
        assert part in told
    assert "Imported files: none; benchmarks: none." in told
    assert len({spec.name for spec in SPECS}) == len(SPECS)
