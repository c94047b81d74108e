"""Sessions of scripted drafters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toys import Script, ScriptedDrafter

from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.events import Event
from engine.loop import generate
from engine.target import Target
from engine.tree import EMPTY_TREE, DraftTree

PROMPT = [0, 3, 1]


def nothing(context: Context, budget: int) -> DraftTree:
    return EMPTY_TREE


def run(target: Target, script: Script, config: GenerationConfig, prompt: Sequence[int] = PROMPT) -> list[Event]:
    return list(generate(target, ScriptedDrafter(script), prompt, config))


def timeless(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Events without times and names."""
    changing = {"created_at", "session_id", "prefill_ns", "decode_ns"}
    changing |= {f"{phase}_ns" for phase in ("draft", "target", "verify", "commit", "host")}
    return [{k: v for k, v in vars(event).items() if k not in changing} for event in events]


def sampled(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{"temperature": 1.0, "max_new_tokens": 30, **settings})
