"""How much of a drafter's proposals its target accepts on held-out prompts of each task.

Of a draft model's chains by position, before and after alignment; of a trained method's trees by node.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from engine import drafters, models
from engine.config import GenerationConfig
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target
from engine.training import tasks
from engine.training.corpus import Document

DEPTH = 4
NUM_PROMPTS = 8
MAX_NEW_TOKENS = 96
TASKS = ("story", "retell", "repair", "chat")


def survival(
    target: Target, prompts: Sequence[list[int]], draft: str, method: str = "draft_model", depth: int = DEPTH
) -> dict[str, Any]:
    """Share of greedy steps whose first i drafts were accepted, i = 1 … depth, and block efficiency."""
    accepted: list[int] = []
    num_emitted = 0
    for prompt in prompts:
        # A chain that stops at a weak token would leave the hard steps out.
        chains = {"model": draft, "depth": depth, "min_confidence": 0.0, "budget": "fixed"}
        drafter = drafters.create(method, chains, target)
        config = GenerationConfig(max_new_tokens=MAX_NEW_TOKENS)
        steps = [event for event in generate(target, drafter, prompt, config) if isinstance(event, Stepped)]
        # A step that the length limit cut short was not offered so many nodes.
        full = [step for step in steps if len(step.nodes) == depth]
        accepted += [len(step.path) for step in full]
        num_emitted += sum(len(step.path) + 1 for step in full)
    num_steps = max(1, len(accepted))
    by_position = [round(sum(a > i for a in accepted) / num_steps, 3) for i in range(depth)]
    return {"steps": len(accepted), "by_position": by_position, "block_efficiency": round(num_emitted / num_steps, 2)}


def tree_figures(target: Target, prompts: Sequence[list[int]], method: str, options: dict[str, Any]) -> dict[str, Any]:
    """Greedy steps of a method whose tree has `options["budget"]` nodes: block efficiency, acceptance of each node."""
    num_nodes = options["budget"]
    paths: list[tuple[int, ...]] = []
    for prompt in prompts:
        drafter = drafters.create(method, options, target)
        config = GenerationConfig(max_new_tokens=MAX_NEW_TOKENS, has_detail=False)
        steps = [event for event in generate(target, drafter, prompt, config) if isinstance(event, Stepped)]
        paths += [step.path for step in unlimited(steps, config.max_new_tokens)]
    num_steps = max(1, len(paths))
    accepted = Counter(node for path in paths for node in path)
    return {
        "steps": len(paths),
        "block_efficiency": round(1 + sum(map(len, paths)) / num_steps, 3),
        "by_node": [round(accepted[node] / num_steps, 5) for node in range(num_nodes)],
    }


def unlimited(steps: Sequence[Stepped], max_new_tokens: int) -> list[Stepped]:
    """The steps of a session whose draft and verdict no limit cut short."""
    deepest = max((_depth(step) for step in steps), default=0)
    found, left = [], max_new_tokens
    for step in steps[:-1]:
        if left > deepest:
            found.append(step)
        left -= len(step.emitted)
    return found


def _depth(step: Stepped) -> int:
    depths = {-1: 0}
    for number, node in enumerate(step.nodes):
        depths[number] = depths[node.parent] + 1
    return max(depths.values())


def write_acceptance(
    target_name: str, drafts: Sequence[Path], heldout: Sequence[Document], path: Path
) -> dict[str, str]:
    """Figures of drafts before and after alignment to `path`; a line a task for the card."""
    target = Target(models.load(target_name))
    found: dict[str, Any] = {}
    for task in TASKS:
        prompts = heldout_prompts(target.facts.tokenizer, task, heldout, target.max_context - MAX_NEW_TOKENS)
        if prompts:
            found[task] = {
                name: survival(target, prompts, str(d)) for name, d in zip(("before", "after"), drafts, strict=True)
            }
    path.write_text(json.dumps(found, indent=1) + "\n")
    return {f"acceptance on {task}": _line(figures) for task, figures in found.items()}


def heldout_prompts(
    tokenizer: PreTrainedTokenizerBase,
    task: str,
    documents: Sequence[Document],
    max_tokens: int,
    num_prompts: int = NUM_PROMPTS,
) -> list[list[int]]:
    """The first requests of fewer than `max_tokens` that held-out documents give."""
    rng = random.Random(5)
    kind = tasks.TASKS[task].kind
    made = (tasks.TASKS[task].make(document, rng) for document in documents if document.kind == kind)
    prompts = (tasks.prompt_ids(chat[:-1], tokenizer) for chat in made if chat)
    return list(itertools.islice((ids for ids in prompts if len(ids) < max_tokens), num_prompts))


def _line(figures: dict[str, Any]) -> str:
    return (
        f"drafts 1 to {DEPTH} survive in {survived(figures['before'])} of greedy steps before alignment, "
        f"in {survived(figures['after'])} after it"
    )


def survived(figures: dict[str, Any]) -> str:
    """What `survival` found, in a few words."""
    by_position = " / ".join(f"{share:.0%}" for share in figures["by_position"])
    return f"{by_position} (block efficiency {figures['block_efficiency']})"
