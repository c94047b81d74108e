"""Where two texts part, and how likely the target held both tokens."""

from __future__ import annotations

from dataclasses import replace

from scripted import started, stepped
from stored import STEP

from engine.events import Candidate, Emitted, Event
from specviz.race.divergence import divergence


def emitted(*ids: int, prob: float = 0.6) -> list[Event]:
    other = (Candidate(9, " fox", 0.5), Candidate(8, " cat", 0.4))
    tokens = tuple(Emitted(number, f" t{number}", "plain", None, prob, other) for number in ids)
    return [started(), replace(stepped(3, ["x"]), emitted=tokens)]


def test_the_first_divergence_has_both_probabilities_on_both_sides() -> None:
    found = divergence(emitted(1, 2, 9, 5), emitted(1, 2, 8, 6, prob=0.41))
    assert found is not None
    assert (found.position, found.context) == (2, " t1 t2")
    assert (found.plain.token_id, found.plain.plain_prob, found.plain.run_prob) == (9, 0.6, 0.5)
    assert (found.run.token_id, found.run.plain_prob, found.run.run_prob) == (8, 0.4, 0.41)
    assert (found.plain.following, found.run.following, found.run.step) == (" t5", " t6", 3)


def test_texts_of_which_one_is_shorter_do_not_part() -> None:
    assert divergence(emitted(1, 2, 3), emitted(1, 2)) is None
    assert divergence([], emitted(1)) is None


def test_a_token_that_was_not_considered_has_no_probability() -> None:
    found = divergence(emitted(1), emitted(2))
    assert found is not None
    assert found.plain.run_prob is None


def test_a_divergence_shows_twelve_tokens_before_and_eight_behind() -> None:
    def events(last: str) -> list[Event]:
        letters = [*"abcdefghijklmnop", last, *"123456789"]
        return [started(), *(replace(STEP, nodes=(), path=(), emitted=(Emitted(ord(x), x, "plain"),)) for x in letters)]

    found = divergence(events("X"), events("Y"))
    assert found is not None
    assert (found.position, found.context) == (16, "efghijklmnop")
    assert (found.plain.text, found.run.text, found.plain.following) == ("X", "Y", "12345678")
