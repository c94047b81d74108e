"""The figures of a run in words and numbers: tiles, status line, chart captions, the spoken summary.

Ratios and their definitions come from `engine.metrics`; here they are only written out.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.conversation import ALONE
from engine.events import Prefilled, SessionFinished, StopReason
from engine.metrics import Metrics, acceptance, speedup, summarise
from engine.run_report import is_beyond_drafting, latency, notices
from specviz.showing.asked import around_in_words, conversation_of
from specviz.showing.fold import ViewState

NONE = "–"
QUIET_STEPS = 20
"""After so many steps without an accepted draft the page says so."""
ENDS: dict[StopReason, str] = {
    "eos": "the model ended its text",
    "length": "the token limit was reached",
    "stop_string": "a stop text was reached",
    "context": "the model’s context is full",
    "timeout": "the time limit was reached",
    "stopped": "stopped",
    "failed": "it failed",
}
VERDICT_TONES = {"identical": "good", "near-tie": "fair", "lossy": "fair", "DIFFERENT": "bad"}


@dataclass(frozen=True)
class Tile:
    """One figure with its unit, its note and the terms of the glossary that define it."""

    key: str
    label: str
    value: str
    unit: str
    note: str
    terms: tuple[str, ...]
    tone: str = ""


def tiles(state: ViewState) -> list[Tile]:
    """All tiles of the run on screen."""
    metrics = summarise(state.events)
    plain = summarise(state.plain_events) if state.plain_events else None
    own = [_speed(metrics), _speedup(state, metrics, plain), _efficiency(metrics), _acceptance(state, metrics)]
    return [*own, _memory(state), _audit(state)]


def number(value: float | None, decimals: int) -> str:
    """A number in fixed decimals; a dash where there is none."""
    return NONE if value is None else f"{value:,.{decimals}f}"


def percent(share: float | None) -> str:
    """A share in whole percent; a dash where there is none."""
    return NONE if share is None else f"{100 * share:.0f} %"


def _speed(metrics: Metrics) -> Tile:
    first = metrics.time_to_first_token_ms
    note = "" if first is None else f"first token after {first:.0f} ms"
    terms = ("tokens-per-second", "time-to-first-token-ms")
    tone = "empty" if metrics.tokens_per_second is None else ""
    return Tile("speed", "Speed", number(metrics.tokens_per_second, 1), "tokens/s", note, terms, tone)


def _speedup(state: ViewState, metrics: Metrics, plain: Metrics | None) -> Tile:
    terms = ("speedup",)
    if state.started is not None and state.started.method == "plain":
        note = "being measured" if state.role == "baseline" else "this is plain decoding"
        return Tile("speedup", "Speedup", NONE, "", note, terms, "empty")
    if plain is None:
        return Tile("speedup", "Speedup", NONE, "", "no baseline measured", terms, "empty")
    against = f"plain: {number(plain.tokens_per_second, 1)} tokens/s, {'claimed' if state.is_claim else 'measured'}"
    value = speedup(state.plain_events, state.events)
    if value is None:
        note = against if state.finished is None else "not comparable: this run was cut short"
        return Tile("speedup", "Speedup", NONE, "", note, terms, "empty")
    if is_beyond_drafting(value, metrics.block_efficiency):
        note = f"more than its tokens a pass allow: other work slowed the plain run ({against})"
        return Tile("speedup", "Speedup", number(value, 2), "×", note, terms, "bad")
    return Tile("speedup", "Speedup", number(value, 2), "×", against, terms, "key")


def _efficiency(metrics: Metrics) -> Tile:
    value, tone = number(metrics.block_efficiency, 2), "empty" if metrics.block_efficiency is None else ""
    terms = ("block-efficiency",)
    return Tile("efficiency", "Block efficiency", value, "tokens/pass", "plain decoding is 1", terms, tone)


def _acceptance(state: ViewState, metrics: Metrics) -> Tile:
    rate, terms = metrics.acceptance_rate, ("acceptance-rate",)
    if rate is None:
        return Tile("acceptance", "Acceptance rate", NONE, "", "nothing drafted", terms, "empty")
    accepted, proposed = drafted(state)
    note, tone = f"{accepted:,} of {proposed:,} drafted", "bad" if notices(acceptance(state.events)) else ""
    return Tile("acceptance", "Acceptance rate", f"{100 * rate:.0f}", "%", note, terms, tone)


def _memory(state: ViewState) -> Tile:
    label, terms = "Memory", ("memory-bytes",)
    found = state.finished.memory if state.finished else None
    if found is None:
        note = "counted at the end" if state.finished is None else "not counted"
        return Tile("memory", label, NONE, "", note, terms, "empty")
    parts = (("target", found.target), ("drafter", found.drafter), ("KV", found.kv))
    note = " · ".join(f"{name} {megabytes(size)}" for name, size in parts)
    return Tile("memory", label, megabytes(sum(size for _, size in parts)), "MB", note, terms)


def megabytes(num_bytes: int) -> str:
    """Millions of bytes, to a tenth below a hundred."""
    return number(num_bytes / 1e6, 0 if num_bytes >= 1e8 else 1)


def _audit(state: ViewState) -> Tile:
    label, terms = "Same text as plain?", ("audit", "near-tie")
    if state.audit is not None:
        tone = VERDICT_TONES.get(state.audit.verdict, "")
        text = f"claimed: {state.audit.text}" if state.is_claim else state.audit.text
        return Tile("audit", label, state.audit.verdict, "", text, terms, f"word {tone}".strip())
    if state.phase == "auditing":
        return Tile("audit", label, "…", "", "comparing", terms, "word")
    return Tile("audit", label, NONE, "", _why_no_verdict(state), terms, "word empty")


def _why_no_verdict(state: ViewState) -> str:
    if state.role == "method" and state.started is not None and state.started.method == "plain":
        return "this is plain decoding"
    if state.role == "method" and not state.plain_events:
        return "not audited: no plain run beside it"
    if state.phase in ("waiting", "preparing", "running"):
        return "checked at the end"
    is_cut = state.finished is not None and state.finished.reason in ("stopped", "failed", "timeout")
    return "not audited: this run was cut short" if is_cut else "not audited"


def drafted(state: ViewState) -> tuple[int, int]:
    """Accepted and proposed draft tokens so far."""
    return sum(len(step.path) for step in state.steps), sum(len(step.nodes) for step in state.steps)


def status_text(state: ViewState) -> str:
    """The run's state in one line."""
    match state.phase:
        case "idle":
            return "Ready. Pick an example or type a prompt, then press Run."
        case "waiting":
            return waiting_text(state.position, state.wait_s)
        case "preparing":
            return f"{state.note} …"
        case "running":
            return running_text(state)
        case "auditing":
            return "Comparing with plain decoding …"
        case "interrupted":
            return "Interrupted: this is what was saved."
    return ended_text(state)


def waiting_text(position: int, seconds: float | None = None) -> str:
    """A place in the line, and how long that may take where it is known."""
    ahead = "one run is going on" if position == 1 else f"{position} runs are ahead of yours"
    return f"Number {position} in the queue: {ahead}{_wait_text(seconds)}."


def _wait_text(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", about {seconds / 60:.0f} min" if seconds >= 90 else f", about {max(1, round(seconds))} s"


def running_text(state: ViewState) -> str:
    """What is being decoded, and whether drafting does anything."""
    accepted, proposed = drafted(state)
    num_steps = len(state.steps)
    if state.role == "baseline":
        return f"Measuring the baseline first: plain decoding, step {num_steps}"
    recent = state.steps[-QUIET_STEPS:]
    is_quiet = proposed > 0 and len(recent) == QUIET_STEPS and not any(step.path for step in recent)
    warning = f" · no draft accepted for {QUIET_STEPS} steps" if is_quiet else ""
    drafts = f" · {accepted:,} of {proposed:,} drafts accepted" if proposed else ""
    return f"Decoding · step {num_steps}{drafts}{warning}"


def ended_text(state: ViewState) -> str:
    """How it ended."""
    finished = state.finished
    if finished is None:
        return "Nothing was run."
    tokens = f"{finished.counts.emitted:,} tokens in {finished.counts.steps:,} steps"
    if state.role == "baseline":
        return f"Ended while the baseline was measured: {ENDS[finished.reason]} · {tokens}"
    return f"{ENDS[finished.reason][0].upper()}{ENDS[finished.reason][1:]} · {tokens}"


def meta_text(state: ViewState) -> str:
    """With what it runs."""
    started = state.started
    if started is None:
        return ""
    prompt = next((event for event in state.events if isinstance(event, Prefilled)), None)
    length = f" · prompt {prompt.num_prompt_tokens:,} tokens" if prompt else ""
    around = conversation_of(started.config)
    stood_in = "" if around == ALONE else f" · {around_in_words(around)}"
    where = f"{started.dtype} on {started.device}"
    whence = f" · {state.origin.origin}" if state.origin else ""
    return f"{started.method} · {started.model} · {where} · {started.guarantee}{length}{stood_in}{whence}"


def captions(state: ViewState) -> dict[str, str]:
    """What the two charts say, in words."""
    metrics = summarise(state.events)
    num_steps = len(state.steps)
    if not num_steps:
        return {"emitted": "", "time": ""}
    sizes = [len(step.emitted) for step in state.steps]
    mean = number(metrics.block_efficiency, 2)
    emitted = f"{mean} on average, from {min(sizes)} to {max(sizes)}, over {num_steps:,} steps."
    told = " ".join([emitted, *_acceptance_words(state)])
    parts = {"draft": metrics.draft_ms, "target": metrics.target_ms, "host": metrics.host_ms}
    total = sum(parts.values()) or 1.0
    shares = ", ".join(f"{name} {ms:,.0f} ms ({100 * ms / total:.0f} %)" for name, ms in parts.items())
    return {"emitted": told, "time": f"In all: {shares}. {_spread_words(state)}"}


def _acceptance_words(state: ViewState) -> list[str]:
    """As servers say it, and what it says is wrong; nothing where nothing was drafted."""
    found = acceptance(state.events)
    if found.mean_acceptance_length is None:
        return []
    first = percent(found.joint_acceptance_rates[0])
    return [f"Mean acceptance length {found.mean_acceptance_length:.2f}, first position {first}.", *notices(found)]


def _spread_words(state: ViewState) -> str:
    """Percentiles of the times of steps and tokens."""
    told = latency(state.events)
    parts = {"A step": told["step_time_ms"], "a token": told["token_time_ms"]}
    words = [
        f"{name} {', '.join(f'{point} {number(ms, 1)}' for point, ms in spread.items())} ms"
        for name, spread in parts.items()
        if spread
    ]
    return f"{'; '.join(words)}."


def spoken_text(state: ViewState) -> str:
    """One sentence for a screen reader at the end."""
    if not isinstance(state.finished, SessionFinished):
        return status_text(state)
    claim = " Imported: what follows is what a file claims." if state.is_claim else ""
    said = ". ".join(f"{tile.label}: {tile.value} {tile.unit}".strip() for tile in tiles(state) if tile.value != NONE)
    return " ".join([f"{status_text(state)}.{claim} {said}.", *notices(acceptance(state.events))])
