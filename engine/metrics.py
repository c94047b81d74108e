"""Ratios computed from a session's events; every definition and denominator of a figure is here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.events import Counts, Event, Prefilled, SessionFinished, SessionStarted, Stepped

DEFINITIONS = {
    "block_efficiency": "Emitted tokens ÷ target passes, over the whole session; prefill is not a pass. "
    "Plain decoding is 1.",
    "tokens_per_second": "Emitted tokens ÷ time inside the steps; prefill and the reader's own time between steps "
    "are not counted.",
    "acceptance_rate": "Accepted draft tokens ÷ proposed draft tokens. Low by design for trees: compare at equal "
    "budget.",
    "mean_accepted_length": "Accepted draft tokens ÷ steps; the correction or bonus token is not counted.",
    "time_to_first_token_ms": "Prefill of target and drafter plus the first step.",
    "decode_ms": "Time inside the steps, whole session; prefill is not counted.",
    "draft_ms": "Time in the drafter's proposals, whole session.",
    "target_ms": "Time in target passes and in keeping their KV rows, whole session; prefill is not counted.",
    "host_ms": "Everything else while decoding: verification, text, events, the drafter's bookkeeping, the loop.",
    "wasted_drafts_per_token": "Proposed draft tokens that were not accepted ÷ emitted tokens.",
    "time_per_token_ms": "Time inside the steps ÷ emitted tokens, split into draft, target and host.",
    "acceptance_by_position": "Steps whose accepted length reached a depth ÷ steps whose draft reached it; the latter "
    "is n. Behind the end of a text nothing counts as drafted.",
    "speedup": "Plain decoding's time per emitted token ÷ this run's, both inside the steps; same target, prompt, "
    "settings, dtype and machine, measured after warm-up. Empty where no plain run was measured.",
}


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
        num_accepted = sum(token.origin == "accepted" for token in step.emitted)
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


def acceptance_by_position(events: Iterable[Event]) -> list[Position]:
    """One position for each depth that some draft reached."""
    drafted: Counter[int] = Counter()
    accepted: Counter[int] = Counter()
    for event in events:
        if isinstance(event, Stepped):
            num_accepted = sum(token.origin == "accepted" for token in event.emitted)
            # Where the text ended inside the draft, nobody asked about what was drafted behind its end.
            drafted[num_accepted if num_accepted == len(event.emitted) else _draft_depth(event)] += 1
            accepted[num_accepted] += 1
    return [
        Position(depth, _at_least(drafted, depth), _at_least(accepted, depth))
        for depth in range(1, max(drafted, default=0) + 1)
    ]


def _draft_depth(step: Stepped) -> int:
    """Longest path of the draft tree; a parent stands before its children."""
    depths: list[int] = []
    for node in step.nodes:
        depths.append(1 if node.parent < 0 else depths[node.parent] + 1)
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
