"""Prompt suites from held-out documents, for audits and measurements.

The documents are those that `corpus.split_heldout` keeps out of training; a suite is a pure
function of the corpus folder.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from engine.training import corpus, elements, tasks

NUM_PROMPTS = 24
MAX_SOURCE_CHARS = 700
NUM_NAMED_ELEMENTS = 3
SUITES = ("story", "retell", "repair", "extract", "list", "repeat", "chat")
LICENCES = {"story": "CDLA-Sharing-1.0, MIT, CC BY 4.0", "dialogue": "CC BY 4.0, CC BY-SA 4.0"}
_SEED = 7


def write_suites(data: Path, out: Path) -> None:
    """One `<task>.jsonl` per task in `out`, a `prompt` and its `answer` a line, and a manifest of rows and origin."""
    _, heldout = corpus.split_heldout(corpus.read_folder(data))
    out.mkdir(parents=True, exist_ok=True)
    manifest = {}
    for suite in SUITES:
        rows = suite_rows(suite, heldout)
        (out / f"{suite}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        kind = tasks.TASKS[suite].kind
        manifest[suite] = {
            "num_prompts": len(rows),
            "origin": f"documents held out of training ({kind})" if suite != "list" else "composed by script",
            "licence": LICENCES[kind] if suite != "list" else "Apache-2.0",
        }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def suite_rows(suite: str, heldout: list[corpus.Document], limit: int = NUM_PROMPTS) -> list[dict[str, str]]:
    """Up to `limit` prompts with the answers that their documents give."""
    rng = random.Random(_SEED)
    task = tasks.TASKS[suite]
    documents = [document for document in heldout if document.kind == task.kind and _is_fit(suite, document)]
    rng.shuffle(documents)
    rows: list[dict[str, str]] = []
    for document in documents:
        if (chat := _chat(suite, document, rng)) and len(rows) < limit:
            rows.append({"prompt": chat[0]["content"], "answer": chat[1]["content"]})
    return rows


def _is_fit(suite: str, document: corpus.Document) -> bool:
    """Stories short enough to be given back, and, for `story`, with enough elements and no prompt of their own."""
    if suite != "story":
        return document.kind != "story" or len(document.text) <= MAX_SOURCE_CHARS
    found = elements.story_elements(document)
    num_named = sum(value is not None for value in vars(found).values())
    return num_named >= NUM_NAMED_ELEMENTS and document.prompt is None


def _chat(suite: str, document: corpus.Document, rng: random.Random) -> list[tasks.Message] | None:
    """The task's chat; a story's prompt names every element that was found."""
    if suite == "story":
        prompt = tasks.tell_prompt(elements.story_elements(document), rng)
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": document.text}]
    return tasks.TASKS[suite].make(document, rng)
