"""What a draft costs, as ratios of one run: at the end of a long text against its beginning, and against a pass.

    PYTHONPATH=.:tests python scripts/draft_time.py

The first table is of drafters without a network, with a target that recites a text and costs nothing: the median time
of `propose` behind 8,000 tokens ÷ that behind 200, of the same text, and beside it the nodes of each draft. The second
is of the embedded target: the median time of a draft ÷ that of the target's pass, by method. tests/engine/drafters
counts what the first table times, since a clock on a busy machine fails tests that are right.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from reciter import Reciter, prose

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.events import Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.target import Scored, Target
from engine.verify import Verdict

WITHOUT_NETWORK = ("prompt_lookup", "copyspec", "sam_decoding", "iad", "token_recycling", "stand")
PROSE = prose(8200)
TEXTS = {"cycle": (PROSE[:60] * 200)[:8200], "prose": PROSE}
NUM_ROUNDS = 4
PROMPT = "Write a short story about a fox."


def proposals(name: str, text: Sequence[int], num_before: int, num_steps: int = 60) -> tuple[float, float]:
    """Median milliseconds and nodes of a proposal that follows some context."""
    target = Reciter(text)
    drafter = drafters.create(name, {}, target)
    context = Context(list(text[:num_before]), GenerationConfig(), Noise(0))
    drafter.start(context)
    times, sizes = [], []
    for _ in range(num_steps):
        began = time.perf_counter()
        context.tree = drafter.propose(context, Room(128))
        times.append(1000 * (time.perf_counter() - began))
        sizes.append(len(context.tree))
        new = list(text[len(context.ids) : len(context.ids) + 1])
        logits = target.noise[[context.root_id, *context.tree.tokens]]
        context.ids.extend(new)
        drafter.observe(Verdict((), new[0], "correction"), new, Scored(logits, None))
    return statistics.median(times), statistics.median(sizes)


def growth(name: str, text: Sequence[int]) -> str:
    """One row: the best of a few rounds each, taken in turn, so that whoever else works slows both."""
    rounds = [[proposals(name, text, num) for num in (200, 8000)] for _ in range(NUM_ROUNDS)]
    (short, few), (long, many) = (min(each) for each in zip(*rounds, strict=True))
    return f"{short:.3f} ms | {long:.3f} ms | {long / short:.2f} | {few:.0f} → {many:.0f}"


def share_of_a_pass(name: str, target: Target) -> float:
    """The median draft ÷ the median pass of one session on the embedded target."""
    config = GenerationConfig(max_new_tokens=64, has_detail=False)
    for _ in range(2):  # the first session warms up
        events = list(generate(target, drafters.create(name, {}, target), PROMPT, config))
    steps = [event for event in events if isinstance(event, Stepped)]
    return statistics.median(s.draft_ns for s in steps) / statistics.median(s.target_ns for s in steps)


def main() -> None:
    """Both tables."""
    print("| method | text | after 200 | after 8,000 | ratio | nodes |\n| --- | --- | --- | --- | --- | --- |")
    for name in WITHOUT_NETWORK:
        for title, text in TEXTS.items():
            print(f"| `{name}` | {title} | {growth(name, text)} |", flush=True)
    print("\n| method | draft ÷ pass |\n| --- | --- |")
    target = Target(models.load("story"))
    for name in drafters.names():
        if name != "plain" and drafters.get(name).unavailable(target) is None:
            print(f"| `{name}` | {share_of_a_pass(name, target):.2f} |", flush=True)


if __name__ == "__main__":
    main()
