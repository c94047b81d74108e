"""Model cards: what a model was trained on, for how long, how well it does, and what it writes.

Samples are the engine's own output, unedited, from prompts fixed here before any training.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine import drafters
from engine.config import GenerationConfig
from engine.events import Stepped
from engine.loop import generate
from engine.models import load
from engine.target import Target
from engine.training import curve

PROMPTS = (
    "Write a short story about a little cat named Tom, set in the park. What happens: Tom lost his red ball. "
    "The lesson: sharing makes everyone happy.",
    "Write a short story.\nCharacter: a brave girl named Lily\nSetting: the forest\n"
    "What happens: Lily found a small bird that could not fly\nLesson: it is good to be kind",
    "Tell me a story about a little boy named Ben, set in the kitchen. In the story: Ben wanted to bake a cake. "
    "What is learnt: listen to your parents.",
    "Tell a short story about a rabbit named Max, set in the garden. What happens: Max ate all the carrots. "
    "It teaches: say sorry when you are wrong.",
    "Write a story about a girl named Mia, set in the school. In the story: Mia was afraid to sing. "
    "The lesson: be brave and try.",
)
MAX_NEW_TOKENS = 220


def write_card(folder: Path, title: str, facts: dict[str, str], *, has_samples: bool) -> None:
    """`README.md` in a model folder: facts, loss curve (`loss.svg`), samples."""
    (folder / "loss.svg").write_text(curve.draw(_losses(folder)), encoding="utf-8")
    lines = ["---", "license: apache-2.0", "language: en", "---", "", f"# {title}", ""]
    lines += [f"- {name}: {value}" for name, value in {**facts, **_last_losses(folder)}.items()]
    lines += ["", "![Loss over training tokens](loss.svg)"]
    if has_samples:
        lines += ["", "## Samples", "", "Unedited; the first three greedy, the others at temperature 0.8, seed 1.", ""]
        lines += _samples(folder)
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _losses(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


def _last_losses(folder: Path) -> dict[str, str]:
    evaluated = [row for row in _losses(folder) if "heldout_loss" in row]
    if not evaluated:
        return {}
    last = evaluated[-1]
    found = {
        "steps": f"{last['step']:,} ({last['num_tokens'] / 1e6:.2f} M tokens, {last['seconds'] / 60:.0f} minutes)",
        "held-out loss": f"{last['heldout_loss']:.3f} nats a token, on documents never seen in training",
    }
    if "agreement" in last:
        found["agreement with the target"] = f"{last['agreement']:.1%} of held-out places have the same likeliest token"
    return found


def _samples(folder: Path) -> list[str]:
    target = Target(load(str(folder)))
    lines = []
    for i, prompt in enumerate(PROMPTS):
        temperature = 0.0 if i < 3 else 0.8
        config = GenerationConfig(max_new_tokens=MAX_NEW_TOKENS, temperature=temperature, seed=1)
        events = generate(target, drafters.create("plain", {}, target), prompt, config)
        text = "".join(t.text for event in events if isinstance(event, Stepped) for t in event.emitted)
        lines += [f"**Prompt {i + 1}.** {' / '.join(prompt.splitlines())}", "", *_quoted(text), ""]
    return lines


def _quoted(text: str) -> list[str]:
    return [f"> {line}" if line else ">" for line in text.splitlines()]
