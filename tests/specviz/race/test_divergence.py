"""Where two texts part, and how likely the target held both tokens."""

from __future__ import annotations

from dataclasses import replace

from scripted import started, stepped

from engine.events import Candidate, Emitted, Event, Node, Stepped
from specviz.race.divergence import divergence


def emitted(*ids: int, prob: float = 0.6) -> list[Event]:
    other = (Candidate(9, " fox", 0.5), Candidate(8, " cat", 0.4))
    tokens = tuple(Emitted(number, f" t{number}", "plain", None, prob, other) for number in ids)
    return [started(), replace(stepped(3, ["x"]), emitted=tokens)]


TOP = (Candidate(21, " c", 0.7), Candidate(30, " z", 0.25))
NODES = (
    Node(10, " a", -1, "accepted", 0.9, 0.8),
    Node(11, " b", -1, "rejected", 0.05, 0.15),
    Node(20, " d", 0, "accepted", 0.6, 0.55),
    Node(21, " c", 0, "rejected", 0.35, 0.3),
    Node(30, " z", 2, "rejected", 0.25, 0.45),
    Node(40, " e", 4, "unreached", 0.125, 0.65),
)
EMITTED = (
    Emitted(10, " a", "accepted", 0, 0.9),
    Emitted(20, " d", "accepted", 2, 0.6),
    Emitted(30, "", "correction", None, 0.25, TOP),
)
STEP = Stepped(4, 9, NODES, (0, 2), EMITTED, 1_000_000, 20_000_000, 300_000, 4_000_000, 50_000, 12)


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
