"""The promise: whatever the drafter does, the text is the target's own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from toys import (
    FAMILIES,
    VOCAB_SIZE,
    Script,
    ScriptedDrafter,
    Table,
    TableTarget,
    assert_fits,
    create,
    greedy_text,
    output_ids,
    prompt_ids,
    random_trees,
    right,
    tiny,
    wrong,
)

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.draws import Draws
from engine.events import SessionFinished, Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree

EXACT = [name for name in drafters.names() if drafters.get(name).guarantee == "exact"]
NEEDS = {name: drafters.get(name).needs for name in EXACT}
READING = [name for name, needs in NEEDS.items() if needs.hidden_layers or needs.weights or needs.own_layers]
"""Those that see more of a target than its tokens."""
GREEDY: dict[str, Any] = {}
SAMPLED = {"temperature": 0.9, "top_k": 40, "top_p": 0.95, "seed": 11}
NUM_TOKENS = 24


def adversaries(text: Sequence[int]) -> dict[str, Script]:
    """Drafters at the edges of what is possible."""
    return {
        "right": right(text, depth=5),
        "wrong": wrong(text, VOCAB_SIZE),
        "random": random_trees(VOCAB_SIZE, seed=1),
        "half right": random_trees(VOCAB_SIZE, seed=2, num_nodes=20, truth=text),
    }


def assert_identical(
    target: Target, prompt: list[int], settings: dict[str, Any], methods: Sequence[str] = EXACT
) -> None:
    """These methods and every adversary write what plain decoding writes."""
    text = greedy_text(target, prompt, NUM_TOKENS, **settings)
    config = GenerationConfig(max_new_tokens=NUM_TOKENS, has_detail=False, **settings)
    for name in methods:
        found = output_ids(generate(target, create(name, target), prompt, config))
        assert found == text[len(prompt) :], name
    for name, script in adversaries(text).items():
        drafter = ScriptedDrafter(script)
        assert output_ids(generate(target, drafter, prompt, config)) == text[len(prompt) :], name
        num_accepted = sum(len(verdict.path) for verdict, _ in drafter.observed)
        assert (num_accepted > 0) or name in ("wrong", "random"), f"{name} was never accepted: the test shows nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_drafter_writes_what_plain_decoding_writes(family: str, draft_models: None) -> None:
    """Of a drafter that sees tokens alone a family knows nothing but the trees, and the adversaries' are any trees."""
    methods = EXACT if family in ("llama", "gpt2") else [*READING, "draft_model", "prompt_lookup"]
    assert_identical(Target(tiny(family)), prompt_ids(10), GREEDY, methods)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_every_drafter_samples_what_plain_decoding_samples(family: str, draft_models: None) -> None:
    """Of each other family that a row has the same scores wherever it stands is held by runtime/test_runner.py."""
    assert_identical(Target(tiny(family)), prompt_ids(10), SAMPLED)


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("seed", range(3))
def test_every_drafter_writes_what_plain_decoding_writes_in_bfloat16(
    seed: int, settings: dict[str, Any], draft_models: None
) -> None:
    assert_identical(Target(tiny("llama", "bfloat16")), prompt_ids(7 + seed, seed=seed), settings)


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_repetition_penalty_looks_at_each_nodes_own_path(settings: dict[str, Any], draft_models: None) -> None:
    assert_identical(Target(tiny("qwen3")), prompt_ids(10), {**settings, "repetition_penalty": 1.6})


def test_a_nodes_penalty_counts_its_ancestors_and_no_sibling() -> None:
    target = TableTarget(Table(6))
    tree = DraftTree((2, 4, 2, 4), (-1, -1, 0, 2))
    config = GenerationConfig(temperature=1.0, repetition_penalty=2.0, max_new_tokens=9)
    events = list(generate(target, ScriptedDrafter(lambda context, budget: tree), [0, 1], config))
    step = next(event for event in events if isinstance(event, Stepped))
    for index, node in enumerate(step.nodes):
        path = [tree.tokens[i] for i in tree.path_to(index)][:-1]
        logits = target.table.row([0, 1, *path]).clone()
        for token in {0, 1, *path}:
            logits[token] = logits[token] / 2 if logits[token] > 0 else logits[token] * 2
        assert node.target_prob == pytest.approx(logits.softmax(dim=0)[node.token_id].item(), abs=1e-6)


# Rejection keeps the distribution, not the text


def drawn(parents: Sequence[int], drafter: Table, *, is_replaced: bool = True) -> Script:
    """Trees of one shape, drawn from a table afresh at each place."""

    def script(context: Context, budget: int) -> DraftTree:
        shape = DraftTree((0,) * len(parents), tuple(parents))
        tokens: list[int] = []
        rows: list[torch.Tensor] = []
        for node, parent in enumerate(parents):
            row = drafter.probs([*context.ids, *(tokens[i] for i in shape.path_to(parent))]).clone()
            if not is_replaced:
                row[[tokens[i] for i in range(node) if parents[i] == parent]] = 0
            rows.append(row / row.sum())
            tokens.append(context.noise.draw(rows[-1], context.position, f"node {node}"))
        return DraftTree(tuple(tokens), tuple(parents), None, Draws(torch.stack(rows), tuple(range(len(rows)))))

    return script


def opposite(table: Table) -> Table:
    """Sure of what the table finds least likely."""
    other = Table(table.vocab_size)
    other.logits = -3 * table.logits
    return other


def close_to(table: Table) -> Table:
    other = Table(table.vocab_size)
    other.logits = 0.8 * table.logits
    return other


def joint_law(table: Table, prompt: list[int], length: int = 3) -> torch.Tensor:
    shares = []
    for tokens in itertools.product(range(table.vocab_size), repeat=length):
        rows = [table.probs([*prompt, *tokens[:i]])[token] for i, token in enumerate(tokens)]
        shares.append(torch.stack(rows).prod())
    return torch.stack(shares)


TABLE = Table(3, seed=1)
DRAWN = {
    "good chain": drawn((-1, 0), close_to(TABLE)),
    "random chain": drawn((-1, 0), Table(3, seed=9)),
    "adversarial chain": drawn((-1, 0), opposite(TABLE)),
    "siblings without replacement": drawn((-1, -1, 1), Table(3, seed=8), is_replaced=False),
}


@pytest.mark.parametrize("name", DRAWN)
def test_rejection_keeps_the_law_of_the_first_three_tokens(name: str) -> None:
    target, counts, num_accepted = TableTarget(TABLE), torch.zeros(3, 3, 3), 0
    for seed in range(1500):
        config = GenerationConfig(max_new_tokens=3, temperature=1.0, rule="rejection", seed=seed, has_detail=False)
        events = list(generate(target, ScriptedDrafter(DRAWN[name]), [0], config))
        counts[tuple(output_ids(events))] += 1
        assert isinstance(events[-1], SessionFinished)
        num_accepted += events[-1].counts.accepted
    assert num_accepted > 100
    assert_fits(counts, joint_law(TABLE, [0]))


@pytest.mark.parametrize("width", [1, 2], ids=["chain", "tree"])
def test_rejection_keeps_the_law_with_a_draft_model(width: int, draft_models: None) -> None:
    target, counts = TableTarget(TABLE), torch.zeros(3, 3, 3)
    for seed in range(500):
        settings: dict[str, Any] = {"temperature": 1.0, "rule": "rejection", "seed": seed, "has_detail": False}
        drafter = create("draft_model", target, depth=2, width=width)
        config = GenerationConfig(max_new_tokens=3, **settings)
        counts[tuple(output_ids(generate(target, drafter, [0], config)))] += 1
    assert_fits(counts, joint_law(TABLE, [0]))
