"""A race in words: its status line, its verdicts, where texts part, and what a screen reader says at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.events import Prefilled, SessionStarted
from engine.run_report import is_beyond_drafting
from specviz.figures.row import Row
from specviz.race.divergence import Divergence, Side
from specviz.race.fold import RaceState
from specviz.showing.origin import CLAIMED
from specviz.showing.tiles import NONE, VERDICT_TONES, number, waiting_text


def status_text(state: RaceState, rows: Sequence[Row]) -> str:
    """The race's state in one line."""
    match state.phase:
        case "idle":
            return "Ready. Choose methods, then press Race."
        case "waiting":
            return waiting_text(state.position, state.wait_s)
        case "preparing":
            return f"{state.note} …"
        case "racing":
            return _going_on(state, rows)
    if any("race was stopped" in row.problem for row in rows):
        return "Stopped. What was decoded is kept."
    fastest = max((row for row in rows if row.speedup), key=lambda row: row.speedup or 0.0, default=None)
    num_failed = sum(bool(row.problem) for row in rows)
    failed = f" {num_failed} of {len(rows)} lanes failed." if num_failed else ""
    if fastest is None:
        return f"Finished: {len(rows)} lanes.{failed}"
    claim = ", as a file claims" if fastest.is_claim else ""
    return f"Finished: {fastest.label} was fastest, {number(fastest.speedup, 2)} × plain decoding{claim}.{failed}"


def _going_on(state: RaceState, rows: Sequence[Row]) -> str:
    place = state.going_on
    if place is None:
        return "The next lane is being warmed up …"
    view, row = state.views[place], rows[place]
    if view.phase == "preparing":
        return f"{view.note} …"
    if view.phase == "auditing":
        return f"Comparing {row.label} with plain decoding …"
    return f"Lane {row.turn} of {len(rows)}: {row.label}, alone on the device"


def meta_text(state: RaceState) -> str:
    """With what it runs, where all lanes agree."""
    view = next((view for view in state.views if view.started), None)
    if view is None or not isinstance(view.started, SessionStarted):
        return ""
    started = view.started
    prompt = next((event for event in view.events if isinstance(event, Prefilled)), None)
    length = f" · prompt {prompt.num_prompt_tokens:,} tokens" if prompt else ""
    return f"{started.model} · {started.dtype} on {started.device}{length}"


def order_text(state: RaceState, rows: Sequence[Row]) -> str:
    """How it was run."""
    if not state.order:
        return ""
    names = ", ".join(rows[place].label for place in state.order)
    return (
        f"Run one after another, each alone, in an order drawn by lot: {names}. A warm-up before each run is dropped."
    )


def verdict(row: Row) -> tuple[str, str]:
    """A word or two for a lane, and its tone; a claim is called one."""
    word, tone = _verdict(row)
    return f"{CLAIMED}: {word}" if row.is_claim and row.verdict else word, tone


def _verdict(row: Row) -> tuple[str, str]:
    if row.problem:
        return "failed" if row.phase == "failed" and row.emitted else "not run", "bad"
    if row.is_plain:
        return "baseline", ""
    if _is_lossy(row):
        return "differs (lossy)", "fair"
    return {"identical": "✓ same text"}.get(row.verdict, row.verdict), VERDICT_TONES.get(row.verdict, "")


def divergence_text(row: Row, found: Divergence | None) -> str:
    """What there is to say of a lane's text beside the plain one."""
    if found is None:
        return f"No token differs. {row.verdict_text}" if row.verdict_text else "No token differs."
    told = f"Token {found.position} is the first that differs. {row.verdict_text}".strip()
    return f"{told}. {_reason(row)}".replace("..", ".").strip()


def _reason(row: Row) -> str:
    if row.verdict == "near-tie":
        return "The two scores are closer than rounding can tell apart."
    if _is_lossy(row):
        return "This method is lossy: it may write what plain decoding would not."
    if row.verdict == "DIFFERENT":
        return "An exact method should not differ: this is an error."
    if row.verdict == "not auditable":
        return "Sampled with another use of the random numbers: the same distribution, another text."
    return ""


def _is_lossy(row: Row) -> bool:
    """Whether it differs as it may; runs of former versions were called DIFFERENT for it."""
    return row.verdict == "lossy" or (row.verdict == "DIFFERENT" and row.guarantee == "lossy")


def doubts(rows: Sequence[Row]) -> tuple[str, ...]:
    """A sentence for each speedup that drafting alone cannot explain."""
    return tuple(
        f"{row.label} is {number(row.speedup, 2)} × plain decoding with {number(row.block_efficiency, 2)} tokens a "
        "pass: drafting alone gives no more than the second. Other work slowed the plain lane; race again."
        for row in rows
        if is_beyond_drafting(row.speedup, row.block_efficiency)
    )


def side(found: Side) -> dict[str, Any]:
    """One side of a divergence as plain values."""
    return {
        "t": found.text,
        "id": found.token_id,
        "step": found.step,
        "plain": found.plain_prob,
        "run": found.run_prob,
        "following": found.following,
    }


def spoken_text(state: RaceState, rows: Sequence[Row]) -> str:
    """One sentence a lane, for a screen reader at the end."""
    told = []
    for row in rows:
        times = "" if row.speedup is None else f", {number(row.speedup, 2)} times plain"
        speed = "" if row.tokens_per_second is None else f"{number(row.tokens_per_second, 1)} tokens per second{times}"
        told.append(f"{row.label}: {row.problem or speed or NONE}")
    return ". ".join([status_text(state, rows).removesuffix("."), *told])
