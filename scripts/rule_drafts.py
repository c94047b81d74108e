"""Measures what rules accept of equal drafts: a table of docs/verification.md.

    PYTHONPATH=. python scripts/rule_drafts.py [--model MODEL] [--draft FOLDER] [--budget NODES] [--rules a,b]

Real drafts, each of as many nodes, at every place of texts that plain decoding wrote, the same places for all. What is
counted is the mean of what a rule accepts of a draft over its own numbers, not one throw of it. Prints Markdown. None
of it hangs on how busy the machine is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from engine import drafters, verify
from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.events import Judged, SessionFinished
from engine.loop import Session
from engine.noise import Noise
from engine.target import Target
from engine.tree import MAX_BUDGET, DraftTree
from engine.verify import Rule, TargetRows, Verdict, block_verification, k_seq, rejection
from engine.verify.base import ending
from scripts.rule_nodes import LOSSY, asked, flags, plain_text


def main() -> None:
    """Measure and print."""
    parser = flags("Measures what rules accept of equal drafts.")
    parser.add_argument("--budget", type=int, default=8, help="nodes of a draft: 8 or 16")
    parser.add_argument("--rules", default=",".join(verify.names()), help="rules parted by commas")
    given = parser.parse_args()
    target, prompts, configs = asked(given)
    for config in configs:
        print_drafts(target, given.draft, prompts, config, given.budget, given.rules.split(","))


class Forced(Rule):
    """Writes a text that is given, one token a step, and counts what a rule would accept of each draft."""

    name = "forced"
    draft_mode = "drawn"

    def __init__(self, rule: Rule, text: Sequence[int]) -> None:
        super().__init__()
        self.rule, self.text = rule, text
        self.lengths: list[float] = []
        self.nodes: list[int] = []

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        self.lengths.append(expected(self.rule, tree, target, noise, position))
        self.nodes.append(len(tree))
        return Verdict((), self.text[position], ending(tree, ()))


def expected(rule: Rule, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> float:
    """Tokens of a draft that a rule accepts: the mean over its own numbers, of a rule that weighs draws."""
    if isinstance(rule, block_verification.BlockVerification):
        return expected_of_block(tree, target)
    if not isinstance(rule, k_seq.KSeq | rejection.Rejection):
        return len(rule.verify(tree, target, noise, position).path)
    weigh = k_seq.select if isinstance(rule, k_seq.KSeq) else rejection.examine
    reached = {-1: 1.0}
    for node in range(-1, len(tree)):
        judged: list[Judged] = []
        left = reached.get(node, 0.0)
        if left > 0:
            weigh(tree, node, target[node + 1].double(), itertools.repeat(math.inf), judged)
        for draw in judged:
            chance = min(1.0, draw.ratio or 0.0)
            reached[draw.node] = reached.get(draw.node, 0.0) + left * chance
            left *= 1 - chance
    return sum(reached.values()) - 1


def expected_of_block(tree: DraftTree, target: TargetRows) -> float:
    """The longest part of a chain that holds."""
    if tree.draws is None:
        return 0.0
    probs = torch.stack([target[row] for row in range(len(tree) + 1)]).double()
    laws = tree.draws.rows[list(tree.draws.row_of)].to(probs)
    shares = block_verification.held_shares(tree.tokens, probs, laws)
    left = (probs.new_tensor(shares[:-1])[:, None] * probs[:-1] - laws).clamp_(min=0).sum(dim=1).tolist()
    none_holds, total = 1.0, 0.0
    for chance in reversed(block_verification.holding_chances(shares, left)):
        none_holds *= 1 - chance
        total += 1 - none_holds
    return total


def contenders(budget: int, draft: str) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Label, method, options and rule, each with so many nodes a draft."""
    width, depth = budget // 4, 4
    fixed = {"model": draft, "budget": "fixed"}
    chain = {**fixed, "depth": budget, "min_confidence": 0.0}
    paths = {**fixed, "paths": width, "depth": depth}
    tree = {**fixed, "nodes": budget, "width": width, "depth": depth, "min_confidence": 0.0}
    yield "chain, `rejection`", "draft_model", chain, "rejection"
    yield "chain, `block_verification`", "draft_model", chain, "block_verification"
    yield "`spectr`, `with_replacement`", "spectr", paths, "with_replacement"
    yield "`spectr`, `k_seq`", "spectr", paths, "k_seq"
    yield "`rsd`, `rejection`", "rsd", {**fixed, "width": width, "depth": depth}, "rejection"
    yield "`sequoia`, `rejection`", "sequoia", {**fixed, "nodes": budget}, "rejection"
    for rule in ("likeliest_drafts", "node_sampling", *LOSSY):
        yield f"tree, `{rule}`", "draft_model", tree, rule


def print_drafts(
    target: Target,
    draft: str,
    prompts: Sequence[list[int]],
    config: GenerationConfig,
    budget: int,
    rules: Sequence[str],
) -> None:
    """Tokens a pass and nodes a draft; behind, how far each is above the first, place by place."""
    texts = [plain_text(target, prompt, config) for prompt in prompts]
    print(f"\n| T {config.temperature:g} | nodes | tokens a pass | above the first |\n| --- | --- | --- | --- |")
    first: Tensor | None = None
    for label, method, options, rule in (one for one in contenders(budget, draft) if one[-1] in rules):
        counted = [forced(target, method, options, rule, *pair, config) for pair in zip(prompts, texts, strict=True)]
        lengths = torch.tensor([length for one in counted for length in one.lengths], dtype=torch.float64)
        nodes = [number for one in counted for number in one.nodes]
        first = lengths if first is None else first
        above = lengths - first
        error = float(above.std() / len(above) ** 0.5)
        row = f"{sum(nodes) / len(nodes):.1f} | {1 + lengths.mean():.3f} | {above.mean():+.3f} ± {error:.3f}"
        print(f"| {label} | {row} |", flush=True)
    print(f"\n{len(lengths)} places of {len(texts)} texts")


def forced(
    target: Target,
    method: str,
    options: dict[str, Any],
    rule: str,
    prompt: list[int],
    text: list[int],
    config: GenerationConfig,
) -> Forced:
    """What was counted at every place of a text but its prompt's."""
    ruled = GenerationConfig(
        **{**vars(config), "rule": rule, "has_detail": False, "max_new_tokens": len(text) - len(prompt) + MAX_BUDGET}
    )
    counted = Forced(verify.get(rule)(), text)
    is_over = lambda: len(session.context.ids) == len(text)  # noqa: E731
    session = Session(target, drafters.create(method, options, target), prompt, ruled, is_over)
    session.rule = counted
    *_, last = session.events("measured")
    if isinstance(last, SessionFinished) and last.reason == "failed":
        raise RunFailed(last.message)
    return counted


if __name__ == "__main__":
    main()
