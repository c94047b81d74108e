"""Plans and cells of a bench, made up."""

from __future__ import annotations

from typing import Any

from engine.bench.peers import StockPeer
from engine.bench.runner import Cell, Plan
from engine.config import GenerationConfig
from engine.suites import Question

CONFIG = GenerationConfig(max_new_tokens=6, has_detail=False)
SETTINGS = {"model": "table", "config": {"max_new_tokens": 6}, "commit": "abc"}


class CountingPeer(StockPeer):
    """Answers with the prompt's last token, again and again, and remembers what it was asked."""

    def __init__(self, name: str = "peer") -> None:
        super().__init__(name, None, prompt_lookup_num_tokens=3)
        self.asked: list[list[int]] = []

    def generate(self, prompt_ids: list[int], max_new_tokens: int) -> list[int]:
        self.asked.append(prompt_ids)
        return [prompt_ids[-1]] * max_new_tokens


def plan(*prompts: str, **more: Any) -> Plan:
    questions = [Question("letters", (prompt,)) for prompt in prompts or ("ab", "cde")]
    return Plan({"prompt_lookup": {}}, questions, CONFIG, **more)


def cell(method: str, seconds: float, num_emitted: int = 10, **more: Any) -> Cell:
    known = {"suite": "s", "category": "", "prompt_index": 0, "repeat": 0, "num_turns": 1, "target_passes": None}
    times = {"draft_ms": None, "target_ms": None, "host_ms": None, "is_same_text": True}
    return Cell(**{**known, **times, **more}, method=method, num_emitted=num_emitted, seconds=seconds)
