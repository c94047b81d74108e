"""Compares drafters at equal nodes: tokens a pass, and acceptance of each place behind accepted ones.

    PYTHONPATH=. python scripts/equal_nodes.py --model MODEL --methods A,B --suite SUITES [--nodes N] [--tokens N]

Every method has an option `budget` and drafts as many nodes as the others, greedily, whatever pays on this machine, so
nothing but the last column hangs on how busy it is. A place's share: steps that accepted at least so many tokens ÷
those that accepted at least one less. Prints a Markdown table, the method that emits most a pass first.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine import drafters, models, suites
from engine.config import GenerationConfig
from engine.events import Event, Stepped
from engine.loop import generate
from engine.metrics import Acceptance, Tally, acceptance
from engine.target import Target

NUM_PLACES = 7


@dataclass(frozen=True)
class Line:
    """What a method did on all prompts together."""

    method: str
    totals: Tally
    acceptance: Acceptance
    draft_ms: float
    """Median step."""

    @property
    def block_efficiency(self) -> float:
        """Tokens a pass of the target."""
        return self.totals.metrics.block_efficiency or 0.0

    def __str__(self) -> str:
        rates = [rate for rate in self.acceptance.conditional_acceptance_rates if rate is not None][:NUM_PLACES]
        cells = [f"{rate:.2f}" for rate in rates] + ["–"] * (NUM_PLACES - len(rates))
        nodes = self.totals.proposed / self.totals.steps
        figures = f"{nodes:.1f} | {self.block_efficiency:.2f} | {' | '.join(cells)} | {self.draft_ms:.1f}"
        return f"| `{self.method}` | {figures} |"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Compares drafters at equal nodes.")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--methods", required=True)
    parser.add_argument("--suite", default="all")
    parser.add_argument("--limit", type=int, default=1, help="questions of a suite and category")
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64, help="most of an answer")
    given = parser.parse_args()
    target = Target(models.load(given.model, "auto", "auto"))
    questions = suites.questions(given.suite, given.limit, models.kind_of(given.model), None)
    prompts = [question.turns[0] for question in questions]
    config = GenerationConfig(max_new_tokens=given.tokens)
    lines = [line_of(target, name, given.nodes, prompts, config) for name in given.methods.split(",")]
    print(f"| {len(prompts)} prompts | nodes | tokens a pass | {' | '.join(places())} | draft ms |")
    print("| --- |" + " --- |" * (NUM_PLACES + 3))
    for line in sorted(lines, key=lambda line: -line.block_efficiency):
        print(line)


def places() -> Iterable[str]:
    """Titles of the columns."""
    return (f"place {number}" for number in range(1, NUM_PLACES + 1))


def line_of(target: Target, method: str, num_nodes: int, prompts: Sequence[str], config: GenerationConfig) -> Line:
    """Every prompt, drafted by one method with so many nodes."""
    runs = [run(target, method, num_nodes, prompt, config) for prompt in prompts]
    totals = Tally()
    for event in (event for events in runs for event in events):
        totals.add(event)
    steps = [event for events in runs for event in events if isinstance(event, Stepped)]
    draft_ms = statistics.median(step.draft_ns for step in steps) / 1e6
    return Line(method, totals, sum(map(acceptance, runs), start=Acceptance()), draft_ms)


def run(target: Target, method: str, num_nodes: int, prompt: str, config: GenerationConfig) -> Sequence[Event]:
    """One prompt's events."""
    drafter = drafters.create(method, {"budget": num_nodes}, target)
    return list(generate(target, drafter, prompt, config))


if __name__ == "__main__":
    main()
