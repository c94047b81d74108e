"""Measures drafting behind long texts: `rapid`'s shortened context against the whole one, and plain decoding.

    PYTHONPATH=. python scripts/long_context.py --model MODEL --draft FOLDER --text FILE [--lengths 2000,4000,8000]

Each question is a stretch of the file of that many tokens, to be gone on with; stretches begin one behind the other.
Times are processor time behind the prompt, which other programs disturb less than a clock. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from engine import drafters, models
from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.events import Prefilled, SessionFinished, Stepped
from engine.loop import generate
from engine.target import Target


def main() -> None:
    """Ask, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--draft", required=True, help="a draft model's folder")
    parser.add_argument("--text", required=True, type=Path)
    parser.add_argument("--lengths", default="2000,4000,8000", help="tokens of a question")
    parser.add_argument("--questions", type=int, default=1, help="of each length")
    parser.add_argument("--tokens", type=int, default=32, help="of each answer")
    parser.add_argument("--budgets", default="512", help="tokens that rapid reads")
    parser.add_argument("--methods", default="plain,draft_model,rapid")
    given = parser.parse_args()
    target = Target(models.load(given.model, "auto", "auto"))
    ids = target.facts.encode(given.text.read_text(encoding="utf-8"))
    config = GenerationConfig(max_new_tokens=given.tokens, has_detail=False)
    print("| tokens of text | method | tokens a pass | accepted of drafted | ms a token | prompt, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    contenders = [
        (f"`{name}`, budget {budget}" if name == "rapid" else f"`{name}`", name, options)
        for name in given.methods.split(",")
        for budget in (given.budgets.split(",") if name == "rapid" else [""])
        for options in [options_of(name, given.draft, budget)]
    ]
    for length in map(int, given.lengths.split(",")):
        prompts = [ids[length * place : length * (place + 1)] for place in range(given.questions)]
        if len(prompts[-1]) < length:
            raise SystemExit(f"{given.text} has {len(ids)} tokens; wanted {length * given.questions}.")
        for label, name, options in contenders:
            counted = [count(target, drafters.create(name, options, target), prompt, config) for prompt in prompts]
            emitted, passes, drafted, seconds, prefill = (sum(column) for column in zip(*counted, strict=True))
            share = f"{(emitted - passes) / drafted:.2f}" if drafted else "–"
            told = f"{emitted / passes:.2f} | {share} | {1000 * seconds / emitted:.1f} | {prefill / len(prompts):.1f}"
            print(f"| {length:,} | {label} | {told} |", flush=True)


def options_of(name: str, draft: str, budget: str) -> dict[str, Any]:
    """Of a method: which draft model, and how much it reads."""
    if name == "plain":
        return {}
    return {"model": draft} | ({"budget": int(budget)} if name == "rapid" else {})


def count(
    target: Target, drafter: drafters.Drafter, prompt: list[int], config: GenerationConfig
) -> tuple[int, int, int, float, float]:
    """Tokens emitted, passes, tokens drafted, processor seconds behind the prompt and over it. Raises RunFailed."""
    emitted = passes = drafted = 0
    started = prefilled = time.process_time()
    for event in generate(target, drafter, prompt, config):
        if isinstance(event, Prefilled):
            prefilled = time.process_time()
        elif isinstance(event, Stepped):
            emitted, passes, drafted = emitted + len(event.emitted), passes + 1, drafted + len(event.nodes)
        elif isinstance(event, SessionFinished) and event.reason == "failed":
            raise RunFailed(event.message)
    return emitted, passes, drafted, time.process_time() - prefilled, prefilled - started


if __name__ == "__main__":
    main()
