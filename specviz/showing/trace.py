"""A whole run as the inspector reads it: once, in one JSON text; scrubbing through it asks nobody.

`{run, pieces, steps}`. Every step holds its whole draft tree in columns, token texts by their place in `pieces`.
Texts are data: the page sets them by textContent only. Probabilities have six decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine import verify
from engine.config import AUTO
from engine.events import DraftedFrom, Emitted, Event, Judged, Prefilled, SessionFinished, SessionStarted, Stepped
from engine.metrics import acceptance
from engine.run_report import notices
from specviz.showing import whatif
from specviz.showing.steps import STATUSES, own_text
from specviz.text import first_line, without_surrogates
from specviz.times import day_and_time

PROMPT_CHARS = 160


class Pieces:
    """Distinct token texts, each with its place."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Where this text stands."""
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(without_surrogates(text))
        return self._places[text]


def trace(events: Iterable[Event], origin: str = "") -> dict[str, Any]:
    """The run of these events, as far as it came. `origin`: where a stored one was measured, in words."""
    events, pieces = tuple(events), Pieces()
    run: dict[str, Any] = {"origin": origin}
    steps: list[dict[str, Any]] = []
    for event in events:
        match event:
            case SessionStarted():
                run |= _run(event)
            case Prefilled():
                run["promptTokens"] = event.num_prompt_tokens
            case Stepped():
                steps.append(_step(event, pieces, is_drawn=run.get("judgedBy") == "draw"))
            case SessionFinished():
                run["reason"] = event.reason
    run["notices"] = notices(acceptance(events))
    return {"run": run, "pieces": pieces.texts, "steps": steps}


def _run(event: SessionStarted) -> dict[str, Any]:
    rule = rule_of(event.config)
    return {
        "id": event.session_id,
        "created": day_and_time(event.created_at),
        "prompt": first_line(event.prompt, PROMPT_CHARS),
        "method": event.method,
        "model": without_surrogates(event.model),
        "guarantee": event.guarantee,
        "rule": rule,
        "judgedBy": judged_by(rule),
        "temperature": event.config.get("temperature", 0),
        "where": f"{event.dtype} on {event.device}",
    }


def rule_of(config: dict[str, Any]) -> str:
    """The verification rule that a recorded config stands for; `auto` goes by the temperature."""
    rule = str(config.get("rule", AUTO))
    return rule if rule != AUTO else verify.default("above zero" if config.get("temperature") else "zero").name


def judged_by(name: str) -> str:
    """What decides over a node under a rule (`Rule.judges_by`); empty where that is not known."""
    return (verify.get(name).judges_by or "") if name in verify.names() else ""


def _step(step: Stepped, pieces: Pieces, *, is_drawn: bool) -> dict[str, Any]:
    nodes = step.nodes
    told: dict[str, Any] = {"by": without_surrogates(step.proposed_by)} if step.proposed_by else {}
    if step.judged:
        told["j"] = [_judged(draw) for draw in step.judged]
    if step.drafted_from:
        told["d"] = [_drafted_from(law, pieces) for law in step.drafted_from]
    times = (step.draft_ns, step.target_ns, step.commit_ns, step.verify_ns, step.host_ns)
    return told | {
        "n": step.step,
        "ms": [round(ns / 1e6, 3) for ns in times],
        "kv": step.kv_length,
        "path": step.path,
        "id": [node.token_id for node in nodes],
        "t": [pieces.place(node.text) for node in nodes],
        "up": [node.parent for node in nodes],
        "s": [STATUSES.index(node.status) for node in nodes],
        "p": [_short(node.target_prob) for node in nodes],
        "q": [_short(node.draft_prob) for node in nodes],
        "k": [_emitted(token, pieces) for token in step.emitted],
        "cuts": _cuts(step, is_drawn=is_drawn),
        "ranks": _path_ranks(step),
    }


def _judged(draw: Judged) -> list[Any]:
    """How the rule weighed one draw; a node that was drawn several times has several, one that it left out none."""
    numbers = [draw.ratio, draw.draw, draw.overlap, draw.residual_mass]
    return [draw.node, *map(_short, numbers + [draw.chance] * (draw.chance is not None))]


def _drafted_from(law: DraftedFrom, pieces: Pieces) -> list[Any]:
    tokens = law.tokens
    return [
        law.parent,
        [[pieces.place(t.text), t.token_id, _short(t.target_prob), _short(t.draft_prob)] for t in tokens],
    ]


def _emitted(token: Emitted, pieces: Pieces) -> dict[str, Any]:
    alternatives = [[pieces.place(c.text), c.token_id, _short(c.probability)] for c in token.alternatives]
    return {
        "id": token.token_id,
        "t": pieces.place(token.text),
        "raw": pieces.place(own_text(token)),
        "o": token.origin,
        "node": token.node,
        "p": _short(token.target_prob),
        "a": alternatives,
    }


def _cuts(step: Stepped, *, is_drawn: bool) -> dict[str, list[list[Any]]]:
    found = whatif.cuts(step, is_drawn=is_drawn)
    return {"budget": _rows(found.budget), "depth": _rows(found.depth), "topk": _rows(found.top_k)}


def _path_ranks(step: Stepped) -> list[int]:
    """For each accepted node the smallest top-k that keeps it."""
    ranks = whatif.ranks(step.nodes)
    return [ranks[node] for node in step.path]


def _rows(family: Sequence[whatif.Cut]) -> list[list[Any]]:
    return [[cut.limit, cut.num_nodes, cut.accepted, _short(cut.expected)] for cut in family]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
