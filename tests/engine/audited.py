"""Runs on a table, drafted and changed, for audits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toys import (
    ScriptedDrafter,
    TableTarget,
    greedy_text,
    output_ids,
    random_trees,
)

from engine.audit import plain_run
from engine.config import GenerationConfig
from engine.events import Event, Stepped
from engine.loop import generate

PROMPT = [0, 3, 1]
GREEDY = GenerationConfig(max_new_tokens=12)


def drafted(target: TableTarget, config: GenerationConfig, **more: object) -> list[Event]:
    truth = greedy_text(target, PROMPT, 12)
    drafter = ScriptedDrafter(random_trees(5, 2, truth=truth))
    return list(generate(target, drafter, PROMPT, config, **more))  # type: ignore[arg-type]


def with_token(events: Sequence[Event], place: int, token_id: int) -> list[Event]:
    """The run with another token at one place of its output."""
    changed, before = list(events), 0
    for i, event in enumerate(events):
        if isinstance(event, Stepped):
            emitted = list(event.emitted)
            if before <= place < before + len(emitted):
                emitted[place - before] = replace(emitted[place - before], token_id=token_id)
                changed[i] = replace(event, emitted=tuple(emitted))
            before += len(emitted)
    return changed


def with_ids(events: Sequence[Event], ids: Sequence[int]) -> list[Event]:
    """The run with these tokens as its output."""
    changed, rest = [], list(ids)
    for event in events:
        if isinstance(event, Stepped):
            emitted = [replace(token, token_id=rest.pop(0)) for token in event.emitted if rest]
            changed.append(replace(event, emitted=tuple(emitted)))
        else:
            changed.append(event)
    return changed


def continued(target: TableTarget, ids: Sequence[int], config: GenerationConfig, num_tokens: int = 12) -> list[int]:
    """Output that begins with `ids` and goes on as plain decoding would."""
    given = list(ids)
    while len(given) < num_tokens:
        one = replace(config, max_new_tokens=1, stop_strings=())
        given += output_ids(plain_run(target, [*PROMPT, *given], one))
    return given


def equal_behind(target: TableTarget, ids: Sequence[int], gap: float) -> int:
    """Brings the second best score behind prompt and `ids` to within `gap` of the best; which token it is."""
    row = target.table.row([*PROMPT, *ids])
    other = int(row.topk(2).indices[1])
    row[other] = row.max() - gap
    return other
