"""Where two texts part: the first token that differs, and how likely the target held both tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.events import Emitted, Event
from specviz.showing.steps import own_text, steps_of

CONTEXT_TOKENS = 12
FOLLOWING_TOKENS = 8


@dataclass(frozen=True)
class Side:
    """What one run wrote at the place where they part."""

    text: str
    token_id: int
    step: int
    plain_prob: float | None
    """Under the target's distribution as plain decoding met it; None where it was not recorded."""
    run_prob: float | None
    """Under the target's distribution as the other run met it."""
    following: str
    """What came next."""


@dataclass(frozen=True)
class Divergence:
    """The first difference between a run and the plain one."""

    position: int
    """Output index of the token."""
    context: str
    """What both wrote just before."""
    plain: Side
    run: Side


@dataclass(frozen=True)
class _Placed:
    token: Emitted
    step: int


def divergence(plain: Iterable[Event], run: Iterable[Event]) -> Divergence | None:
    """None where no token differs, as far as both go. One ending before the other is no difference of tokens."""
    expected, given = _output(plain), _output(run)
    pairs = enumerate(zip(expected, given, strict=False))
    position = next((at for at, (a, b) in pairs if a.token.token_id != b.token.token_id), None)
    if position is None:
        return None
    theirs, ours = expected[position].token, given[position].token
    context = "".join(placed.token.text for placed in expected[max(0, position - CONTEXT_TOKENS) : position])
    return Divergence(
        position=position,
        context=context,
        plain=_side(expected, position, _prob(theirs, theirs.token_id), _prob(ours, theirs.token_id)),
        run=_side(given, position, _prob(theirs, ours.token_id), _prob(ours, ours.token_id)),
    )


def _output(events: Iterable[Event]) -> list[_Placed]:
    return [_Placed(token, step.step) for step in steps_of(events) for token in step.emitted]


def _side(output: list[_Placed], position: int, plain_prob: float | None, run_prob: float | None) -> Side:
    placed = output[position]
    following = "".join(later.token.text for later in output[position + 1 : position + 1 + FOLLOWING_TOKENS])
    return Side(own_text(placed.token), placed.token.token_id, placed.step, plain_prob, run_prob, following)


def _prob(emitted: Emitted, token_id: int) -> float | None:
    """The target's probability of a token at the place where `emitted` was written."""
    if emitted.token_id == token_id and emitted.target_prob is not None:
        return emitted.target_prob
    same = (candidate.probability for candidate in emitted.alternatives if candidate.token_id == token_id)
    return next(same, None)
