"""Ratios computed from a session's events; `engine.definitions` says in words what each divides by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, zip_longest
from typing import Any

from engine.events import Counts, Event, Prefilled, SessionFinished, SessionStarted, Stepped


@dataclass(frozen=True)
class Metrics:
    """Ratios of one session; None where the denominator is zero."""

    block_efficiency: float | None
    tokens_per_second: float | None
    acceptance_rate: float | None
    mean_accepted_length: float | None
    time_to_first_token_ms: float | None
    draft_ms: float
    target_ms: float
    host_ms: float


@dataclass
class Tally:
    """Counts and times of a session, folded event by event."""

    steps: int = 0
    proposed: int = 0
    accepted: int = 0
    emitted: int = 0
    prefill_ns: int = 0
    first_step_ns: int | None = None
    draft_ns: int = 0
    target_ns: int = 0
    host_ns: int = 0
    decode_ns: int | None = None
    reached_depth: Counter[int] = field(default_factory=Counter)
    """Steps whose accepted length reached each depth."""

    def add(self, event: Event) -> None:
        """Fold one event."""
        if isinstance(event, Prefilled):
            self.prefill_ns = event.prefill_ns
        elif isinstance(event, Stepped):
            self._add_step(event)
        elif isinstance(event, SessionFinished):
            self.decode_ns = event.decode_ns

    def _add_step(self, step: Stepped) -> None:
        host_ns = step.verify_ns + step.host_ns
        target_ns = step.target_ns + step.commit_ns
        if self.first_step_ns is None:
            self.first_step_ns = step.draft_ns + target_ns + host_ns
        num_accepted = _num_accepted(step)
        self.steps += 1
        self.proposed += len(step.nodes)
        self.accepted += num_accepted
        self.emitted += len(step.emitted)
        self.draft_ns += step.draft_ns
        self.target_ns += target_ns
        self.host_ns += host_ns
        self.reached_depth.update(range(1, num_accepted + 1))

    @property
    def counts(self) -> Counts:
        """The totals as stored."""
        return Counts(self.steps, self.proposed, self.accepted, self.emitted, target_passes=self.steps)

    @property
    def metrics(self) -> Metrics:
        """The ratios so far."""
        decode_ns = self.decode_ns if self.decode_ns is not None else self.draft_ns + self.target_ns + self.host_ns
        first_ns = None if self.first_step_ns is None else self.prefill_ns + self.first_step_ns
        return Metrics(
            block_efficiency=ratio(self.emitted, self.steps),
            tokens_per_second=ratio(self.emitted, decode_ns / 1e9),
            acceptance_rate=ratio(self.accepted, self.proposed),
            mean_accepted_length=ratio(self.accepted, self.steps),
            time_to_first_token_ms=None if first_ns is None else first_ns / 1e6,
            draft_ms=self.draft_ns / 1e6,
            target_ms=self.target_ns / 1e6,
            host_ms=self.host_ns / 1e6,
        )


@dataclass(frozen=True)
class Acceptance:
    """Acceptance under the names that servers use: of one request, or the sum of several, which pools their steps."""

    acceptance_histogram: tuple[int, ...] = ()
    num_draft_tokens: int = 0

    def __add__(self, other: Acceptance) -> Acceptance:
        both = zip_longest(self.acceptance_histogram, other.acceptance_histogram, fillvalue=0)
        return Acceptance(tuple(map(sum, both)), self.num_draft_tokens + other.num_draft_tokens)

    @property
    def num_spec_steps(self) -> int:
        """Steps that drafted."""
        return sum(self.acceptance_histogram)

    @property
    def num_accepted_draft_tokens(self) -> int:
        """The next token of each step is not among them."""
        return sum(length * count for length, count in enumerate(self.acceptance_histogram))

    @property
    def mean_acceptance_length(self) -> float | None:
        """With the next token: 1 where nothing was accepted."""
        mean = ratio(self.num_accepted_draft_tokens, self.num_spec_steps)
        return None if mean is None else 1 + mean

    @property
    def joint_acceptance_rates(self) -> list[float]:
        """The first drafted position first."""
        num_steps = self.num_spec_steps
        return [count / num_steps for count in self._reached[1:]]

    @property
    def conditional_acceptance_rates(self) -> list[float | None]:
        """The first drafted position first."""
        return [ratio(count, before) for before, count in zip(self._reached, self._reached[1:], strict=False)]

    @property
    def _reached(self) -> list[int]:
        """Steps whose accepted length is at least 0, at least 1 and so on."""
        return list(accumulate(reversed(self.acceptance_histogram)))[::-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "mean_acceptance_length": self.mean_acceptance_length,
            "draft_acceptance_rate": ratio(self.num_accepted_draft_tokens, self.num_draft_tokens),
            "acceptance_histogram": list(self.acceptance_histogram),
            "joint_acceptance_rates": self.joint_acceptance_rates,
            "conditional_acceptance_rates": self.conditional_acceptance_rates,
            "num_spec_steps": self.num_spec_steps,
            "num_accepted_draft_tokens": self.num_accepted_draft_tokens,
            "num_draft_tokens": self.num_draft_tokens,
        }


@dataclass(frozen=True)
class Position:
    """How drafts fared at one depth."""

    depth: int
    """1 is the first drafted token."""
    num_drafted: int
    """Steps whose draft reached this depth."""
    num_accepted: int
    """Steps whose accepted length reached it."""

    @property
    def share(self) -> float:
        """Per-position acceptance."""
        return self.num_accepted / self.num_drafted


@dataclass(frozen=True)
class TimePerToken:
    """Milliseconds per emitted token."""

    draft_ms: float
    target_ms: float
    host_ms: float


def acceptance(events: Iterable[Event]) -> Acceptance:
    """Of one request."""
    drafting = list(_drafting(events))
    lengths = Counter(map(_num_accepted, drafting))
    deepest = max((*map(_draft_depth, drafting), *lengths), default=-1)
    return Acceptance(tuple(lengths[n] for n in range(deepest + 1)), sum(len(step.nodes) for step in drafting))


def per_step(events: Iterable[Event]) -> dict[str, list[int]]:
    """`per_step_accepted` and `per_step_drafted`."""
    drafting = list(_drafting(events))
    drafted = [len(step.nodes) for step in drafting]
    return {"per_step_accepted": list(map(_num_accepted, drafting)), "per_step_drafted": drafted}


def _drafting(events: Iterable[Event]) -> Iterator[Stepped]:
    return (event for event in events if isinstance(event, Stepped) and event.nodes)


def _num_accepted(step: Stepped) -> int:
    return sum(token.origin == "accepted" for token in step.emitted)


def acceptance_by_position(events: Iterable[Event]) -> list[Position]:
    """One position for each depth that some draft reached."""
    drafted: Counter[int] = Counter()
    accepted: Counter[int] = Counter()
    for event in events:
        if isinstance(event, Stepped):
            num_accepted = _num_accepted(event)
            # Where the text ended inside the draft, nobody asked about what was drafted behind its end.
            drafted[num_accepted if num_accepted == len(event.emitted) else _draft_depth(event)] += 1
            accepted[num_accepted] += 1
    return [
        Position(depth, _at_least(drafted, depth), _at_least(accepted, depth))
        for depth in range(1, max(drafted, default=0) + 1)
    ]


def _draft_depth(step: Stepped) -> int:
    """Longest path of the draft tree. A node whose parent does not stand before it counts as the root's child."""
    depths: list[int] = []
    for node in step.nodes:
        depths.append(depths[node.parent] + 1 if 0 <= node.parent < len(depths) else 1)
    return max(depths, default=0)


def _at_least(counts: Counter[int], depth: int) -> int:
    return sum(count for reached, count in counts.items() if reached >= depth)


def time_per_token(total: Tally) -> TimePerToken | None:
    """The time inside the steps by what it was spent on; None before the first token."""
    if not total.emitted:
        return None
    draft, target, host = (ns / 1e6 / total.emitted for ns in (total.draft_ns, total.target_ns, total.host_ns))
    return TimePerToken(draft, target, host)


def wasted_drafts_per_token(total: Tally) -> float | None:
    """Drafted and not accepted, per emitted token."""
    return ratio(total.proposed - total.accepted, total.emitted)


def ratio(numerator: float, denominator: float) -> float | None:
    """None where there is nothing to divide by."""
    return numerator / denominator if denominator else None


def tally(events: Iterable[Event]) -> Tally:
    """All events folded."""
    total = Tally()
    for event in events:
        total.add(event)
    return total


def summarise(events: Iterable[Event]) -> Metrics:
    """The ratios of a session."""
    return tally(events).metrics


def speedup(plain: Iterable[Event], method: Iterable[Event]) -> float | None:
    """Plain time per token ÷ method's time per token, or None where the two may not be compared."""
    plain, method = list(plain), list(method)
    if not are_comparable(plain, method):
        return None
    base, ours = tally(plain).metrics.tokens_per_second, tally(method).metrics.tokens_per_second
    return ratio(ours or 0.0, base or 0.0)


def are_comparable(plain: list[Event], method: list[Event]) -> bool:
    """Same target, prompt, settings, dtype and machine; both ended for the same reason."""
    started = [next((e for e in run if isinstance(e, SessionStarted)), None) for run in (plain, method)]
    finished = [next((e for e in run if isinstance(e, SessionFinished)), None) for run in (plain, method)]
    first, second = started
    if first is None or second is None or finished[0] is None or finished[1] is None or first.method != "plain":
        return False
    same = ("model", "device", "dtype", "prompt_ids", "machine")
    same_config = {**first.config, "rule": ""} == {**second.config, "rule": ""}
    ended = {"eos", "length", "stop_string", "context"}
    return (
        same_config
        and all(getattr(first, name) == getattr(second, name) for name in same)
        and finished[0].reason in ended
        and finished[1].reason in ended
    )
