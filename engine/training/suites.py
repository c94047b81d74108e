"""Prompt suites from held-out documents, for audits and measurements.

The documents are those that `corpus.split_heldout` keeps out of training; a suite is a pure
function of the corpus folder.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from engine.training import corpus, elements, tasks

NUM_PROMPTS = 24
MAX_STORY_CHARS = 700
_SEED = 7


def write_suites(data: Path, out: Path) -> None:
    """One `<task>.jsonl` per task in `out`, a `prompt` a line, and a manifest of rows and origin."""
    _, heldout = corpus.split_heldout(corpus.read_folder(data))
    rng = random.Random(_SEED)
    rng.shuffle(heldout)
    out.mkdir(parents=True, exist_ok=True)
    manifest = {}
    for task, make in _TASKS.items():
        prompts = [p for document in heldout if (p := make(document, rng)) is not None][:NUM_PROMPTS]
        (out / f"{task}.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        manifest[task] = {"num_prompts": len(prompts), "origin": "held-out stories", "licence": "CDLA-Sharing-1.0, MIT"}
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _story(document: corpus.Document, rng: random.Random) -> str | None:
    found = elements.story_elements(document)
    num_named = sum(value is not None for value in vars(found).values())
    return tasks.tell_prompt(found, rng) if num_named >= 3 and document.prompt is None else None


def _retell(document: corpus.Document, rng: random.Random) -> str | None:
    chat = tasks.retell(document, rng)
    return chat[0]["content"] if chat and len(document.text) <= MAX_STORY_CHARS else None


def _repeat(document: corpus.Document, rng: random.Random) -> str | None:
    chat = tasks.repeat(document, rng)
    return chat[0]["content"] if chat else None


_TASKS: dict[str, Callable[[corpus.Document, random.Random], str | None]] = {
    "story": _story,
    "retell": _retell,
    "repeat": _repeat,
}
