"""`docs/models.md`: the embedded models' quality as measured, with samples.

Everything between the markers is written from measurements; what stands below them is written by people and
kept. Knows Markdown and `quality`; measures nothing itself.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from engine import models
from engine.target import Target
from engine.training import corpus, quality
from engine.training.acceptance import DEPTH
from engine.training.suites import suite_rows

START, END = "<!-- measured:start -->", "<!-- measured:end -->"
NUM_PROMPTS = 24
SAMPLES = (("story", 5), ("retell", 1), ("repair", 2), ("extract", 1), ("list", 1))
NUM_WARM_SAMPLES = 5
Figures = dict[str, dict[str, Any]]


def write_report(data: Path, target: Path, draft: Path, before: Path | None, out: Path) -> None:
    """Measure the models and write the report, keeping the part written by people."""
    train, heldout = corpus.split_heldout(corpus.read_folder(data))
    folders = {"first version": before, "target": target, "draft": draft}
    found = {
        name: quality.measure(Target(models.load(str(folder))), heldout, NUM_PROMPTS)
        for name, folder in folders.items()
        if folder is not None
    }
    lines = ["## Held-out loss by task", "", *_losses(found), "", "## Answers checked by rule", "", *_answers(found)]
    lines += ["", "## Drafts accepted by position", "", *_acceptance(draft), "", "## Leakage", ""]
    lines += [_leakage(quality.leaked(heldout, train)), "", "## Training", "", *_training(folders)]
    lines += ["", "## Samples", "", *_samples(Target(models.load(str(target))), heldout)]
    _replace(out, "\n".join(lines))


def _losses(found: Figures) -> list[str]:
    lines = [
        "Nats a token (perplexity) over the answers to held-out requests, prompts given; the same split for all.",
        "",
        f"| task | {' | '.join(found)} |",
        "| --- |" + " --- |" * len(found),
    ]
    tasks = next(iter(found.values()))["loss"]
    return lines + [f"| {task} | {' | '.join(_loss(found[name]['loss'][task]) for name in found)} |" for task in tasks]


def _loss(value: float) -> str:
    perplexity = math.exp(value)
    return f"{value:.3f} ({perplexity:,.1f})" if perplexity < 1000 else f"{value:.3f} (> 1,000)"


def _answers(found: Figures) -> list[str]:
    lines = [
        f"Greedy, at most {NUM_PROMPTS} held-out requests a task; stories of up to {quality.STORY_TOKENS} tokens.",
        "",
        f"| measure | {' | '.join(found)} |",
        "| --- |" + " --- |" * len(found),
    ]
    for part in ("answers", "stories"):
        for measure in next(iter(found.values()))[part]:
            values = " | ".join(_figure(measure, figures[part][measure]) for figures in found.values())
            lines.append(f"| {measure} | {values} |")
    return lines


def _figure(measure: str, value: float) -> str:
    return f"{value:.3f}" if measure.startswith("distinct") else f"{value:.0%}"


def _acceptance(draft: Path) -> list[str]:
    path = draft / "acceptance.json"
    if not path.is_file():
        return ["Not measured."]
    lines = [
        f"Share of greedy steps whose first 1 … {DEPTH} drafts are accepted, on held-out requests; chains of {DEPTH}.",
        "",
        "| task | before alignment | after | block efficiency before | after |",
        "| --- | --- | --- | --- | --- |",
    ]
    for task, sides in json.loads(path.read_text()).items():
        shares = " | ".join(" / ".join(f"{p:.0%}" for p in sides[side]["by_position"]) for side in ("before", "after"))
        efficiency = " | ".join(str(sides[side]["block_efficiency"]) for side in ("before", "after"))
        lines.append(f"| {task} | {shares} | {efficiency} |")
    return lines


def _leakage(found: dict[str, float]) -> str:
    copies, runs, stories = found.values()
    return (
        "Documents go to one side by a hash of their letters (case, spaces and punctuation left out), so a duplicate "
        f"cannot stand on both. Exact copies of held-out documents in training: {copies:.0f}. Runs of "
        f"{quality.LEAK_WORDS} words of held-out stories that training stories have too: {runs:.1%} (stock phrases of "
        f"the genre); stories with more than half of their runs there: {stories:.1%}."
    )


def _training(folders: dict[str, Path | None]) -> list[str]:
    lines = ["| model | steps | tokens | minutes | last held-out loss |", "| --- | --- | --- | --- | --- |"]
    for name, folder in folders.items():
        path = (folder or Path()) / "loss.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if folder and path.is_file() else []
        if evaluated := [row for row in rows if "heldout_loss" in row]:
            last = evaluated[-1]
            figures = f"{last['num_tokens'] / 1e6:.2f} M | {last['seconds'] / 60:.0f} | {last['heldout_loss']:.3f}"
            lines.append(f"| {name} | {last['step']:,} | {figures} |")
    return [*lines, "", "The loss of this table is over the whole mixture of tasks that the run itself trained on."]


def _samples(target: Target, heldout: list[corpus.Document]) -> list[str]:
    """Unedited answers to held-out requests: greedy ones, then stories at temperature 0.8."""
    greedy = [row["prompt"] for suite, num in SAMPLES for row in suite_rows(suite, heldout, num)]
    stories = [row["prompt"] for row in suite_rows("story", heldout, 5 + NUM_WARM_SAMPLES)[5:]]
    lines = ["Unedited, the first held-out requests in the suites' own order."]
    for temperature, prompts in ((0.0, greedy), (0.8, stories)):
        for prompt in prompts:
            text = quality.decode(target, prompt, 240, temperature)
            mode = "greedy" if temperature == 0 else f"temperature {temperature:g}, seed 1"
            lines += ["", f"**{mode}**", "", *_quoted(prompt), "", *_fenced(text)]
    return lines


def _quoted(text: str) -> list[str]:
    return [f"> {line}" if line else ">" for line in text.splitlines()]


def _fenced(text: str) -> list[str]:
    return ["```text", *text.replace("```", "'''").splitlines(), "```"]


def _replace(path: Path, text: str) -> None:
    """Put the text between the markers; a new file gets a title."""
    old = path.read_text(encoding="utf-8") if path.is_file() else f"# Models\n\n{START}\n{END}\n"
    head, _, rest = old.partition(START)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{START}\n{text}\n{END}{tail}", encoding="utf-8")
