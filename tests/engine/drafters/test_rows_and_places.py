"""Which row a drafter reads, whose noise it uses and how far it drafts: single numbers that are easily one off."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from reciter import Reciter, recite
from toys import LetterTokenizer, Table, TableTarget, create, output_ids, prompt_ids, session_of

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.tables.aded.method import Aded
from engine.drafters.tables.stand.children import perturbed
from engine.drafters.tables.stand.memory import Entry
from engine.drafters.tables.stand.method import Stand
from engine.drafters.tables.token_recycling import successors
from engine.loop import generate
from engine.noise import Noise
from engine.target import Scored, Target
from engine.tree import DraftTree, chain
from engine.verify import Verdict

ROWS = {(): 0, (0,): 1, (0, 2): 3, (1, 4): 5}
"""Of the last accepted node, root first, by the accepted path."""


@pytest.mark.parametrize("name", ["medusa", "mlp_speculator"])
@pytest.mark.parametrize("path", ROWS)
def test_heads_read_the_state_of_the_last_accepted_node(name: str, path: tuple[int, ...], llama: Target) -> None:
    drafter: Any = create(name, llama)
    context = Context([1, 2, 3], GenerationConfig(), Noise(0), prompt_hidden=(torch.zeros(2, 64),))
    drafter.start(context)
    hidden = torch.arange(6.0)[:, None].expand(6, 64)
    drafter.observe(Verdict(path, 9, "correction"), [9], Scored(torch.zeros(6, 64), (hidden,)))
    assert drafter._state[:, 0].tolist() == [ROWS[path]]


def test_a_prompt_gives_the_state_before_its_last_token(llama: Target) -> None:
    for name in ("medusa", "mlp_speculator"):
        drafter: Any = create(name, llama)
        hidden = torch.arange(4.0)[:, None].expand(4, 64)
        drafter.start(Context([1, 2, 3, 4, 5], GenerationConfig(), Noise(0), prompt_hidden=(hidden,)))
        assert drafter._state[:, 0].tolist() == [3]


# STAND


def test_noise_is_added_to_log_probability_by_temperature() -> None:
    """Log p ÷ T + noise, the largest first: at T = 0.5 the noise of 1 is too little, at T = 1 or 2 it would do."""
    entry = Entry([7, 8, 9], [0.6, 0.3, 0.1], 1)
    waits = [1.0, math.exp(-1.0), 1.0]
    assert [child.token for child in perturbed(entry, 3, 0.5, waits)] == [7, 8, 9]
    assert [child.token for child in perturbed(entry, 3, 1.0, waits)] == [8, 7, 9]
    assert [child.prob for child in perturbed(entry, 2, 1.0, waits)] == [0.3, 0.6]


def test_stand_draws_each_level_with_the_noise_of_its_place() -> None:
    drafter = create("stand", TableTarget(Table(64)), reads_prompt=False)
    assert isinstance(drafter, Stand)
    config, noise = GenerationConfig(temperature=1.0), Noise(3)
    context = Context([1, 2, 3], config, noise)
    drafter.start(context)
    drafter._vocab_size = 64
    tokens = [10, 20, 30, 40]
    drafter.memory.add([1, 2, 3], 3, tokens, [0.25] * 4)
    for token in tokens:
        drafter.memory.add([1, 2, 3, token], 4, tokens, [0.25] * 4)
    tree = drafter.propose(context, Room(64))
    for node, depth in enumerate(tree.depths[:1] + tree.depths[4:5]):
        assert depth == node + 1
    for parent, depth in ((-1, 0), (0, 1)):
        wanted = sorted(tokens, key=lambda token: noise.waits(3 + depth, 64)[token].item())
        children = [tree.tokens[child] for child in tree.children[parent + 1]]
        assert children == wanted[: len(children)]
        assert len(children) > 1


def test_stand_learns_each_accepted_row_at_its_own_place() -> None:
    drafter = create("stand", TableTarget(Table(8)), reads_prompt=False)
    assert isinstance(drafter, Stand)
    context = session_of(drafter, [1, 2])
    context.tree = DraftTree((3, 4, 5), (-1, -1, 1))
    logits = torch.zeros(4, 8)
    for row, token in enumerate((4, 0, 5, 6)):
        logits[row, token] = 9
    context.ids += [4, 5, 6]
    drafter.observe(Verdict((1, 2), 6, "bonus"), [4, 5, 6], Scored(logits, None))
    entries = drafter.memory.entries
    assert [entries[key].tokens[0] for key in ((1, 2), (2, 4), (4, 5))] == [4, 5, 6]
    assert (5, 6) not in entries


# ADED


@pytest.mark.parametrize("length", [1, 2, 4])
def test_aded_drafts_exactly_as_deep_as_it_is_asked_to(length: int) -> None:
    text = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]
    drafter = drafters.create("aded", {"table": "none", "nodes": 16, "length": length}, TableTarget(Table(64)))
    context = session_of(drafter, text)
    assert drafter.propose(context, Room(64)).tokens == tuple(range(3, 3 + length))


def test_aded_learns_of_as_many_nodes_as_were_scored() -> None:
    drafter = drafters.create("aded", {"table": "none"}, TableTarget(Table(8)))
    assert isinstance(drafter, Aded)
    drafter.start(context := Context([1, 2], GenerationConfig(), Noise(0)))
    context.tree = drafter._budget.offer(DraftTree((2, 4, 5, 3, 6), (-1, -1, 0, 0, 3)))
    before = drafter._budget._offered.copy(), drafter._budget._accepted.copy()
    drafter.observe(Verdict((0, 3), 1, "bonus"), [2, 3, 1], Scored(torch.zeros(6, 8), None))
    assert np.flatnonzero(drafter._budget._offered - before[0]).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(drafter._budget._accepted - before[1]).tolist() == [0, 3]


@pytest.mark.parametrize("seed", [0, 9_300_000_000_000, 2**53])
def test_every_seed_decodes(seed: int) -> None:
    for name in drafters.names():
        needs = drafters.get(name).needs
        if needs.draft_model or needs.weights or needs.own_layers:
            continue
        target = TableTarget(Table(8), max_context=64)
        config = GenerationConfig(max_new_tokens=6, seed=seed, temperature=0.5, has_detail=False)
        assert len(output_ids(generate(target, create(name, target), [0, 1, 2, 0, 1], config))) == 6, name


# Ids that the tokenizer does not know, as padded vocabularies have them


class Short(LetterTokenizer):
    """Knows fewer tokens than the model can say."""

    def decode(self, ids: Iterable[int], **kwargs: Any) -> str:
        return super().decode([i for i in ids if i < len(self)])


@pytest.mark.parametrize("name", [n for n in drafters.names() if drafters.get(n).needs.describe() == "nothing"])
def test_tokens_beyond_the_tokenizer_are_written_too(name: str) -> None:
    text = [1, 2, 3, 5, 1, 2, 3, 5, 7, 6, 5, 7, 6, 5, 1, 2, 3, 5, 7, 6]
    target = Reciter(text, vocab_size=8)
    target.loaded = dataclasses.replace(target.loaded, tokenizer=Short(5))  # type: ignore[arg-type]
    drafter = create(name, target)
    config = GenerationConfig(max_new_tokens=len(text) - 4, has_detail=False)
    assert output_ids(generate(target, drafter, text[:4], config)) == text[4:]


def test_the_table_of_successors_leaves_out_what_is_no_token() -> None:
    table = successors([1, 5, 2, 3, 7, 4, 1, 2, 3], 5)
    assert [[i for i in row if i >= 0] for row in table.tolist()] == [[], [2], [3], [], [1], []]


def test_token_recycling_keeps_its_row_of_the_unknown_unknown() -> None:
    drafter: Any = create("token_recycling", TableTarget(Table(8)), reads_prompt=False)
    drafter._num_tokens = 5
    context = session_of(drafter, [1, 2])
    context.tree = chain([5, 7, 3])
    context.ids += [5, 7, 3, 6]
    logits = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    drafter.observe(Verdict((0, 1, 2), 6, "bonus"), [5, 7, 3, 6], Scored(logits, None))
    assert (drafter.table[5] == -1).all()
    assert drafter.table[2, :5].tolist() == logits[0, :5].topk(5).indices.tolist()
    assert drafter.table[3, :5].tolist() == logits[3, :5].topk(5).indices.tolist()
    assert not drafter.propose(context, Room(64)), "the root has no row"


# Equal siblings


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9}], ids=["greedy", "sampled"])
@pytest.mark.parametrize("name", drafters.names())
@pytest.mark.usefixtures("draft_models")
def test_no_two_siblings_are_equal(name: str, settings: dict[str, Any], llama: Target) -> None:
    """Rules go on at the first child that holds a token: what hangs below its double is never reached."""
    options: dict[str, Any] = {"width": 3} if name == "draft_model" else {}
    drafter, prompt = create(name, llama, **options), [*prompt_ids(9), *prompt_ids(9), *prompt_ids(5, seed=2)]
    seen = []
    proposes = drafter.propose
    drafter.propose = lambda *given: seen.append(proposes(*given)) or seen[-1]  # type: ignore[method-assign,func-returns-value]
    output_ids(generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=30, has_detail=False, **settings)))
    for tree in seen:
        assert len(set(zip(tree.parents, tree.tokens, strict=True))) == len(tree)


def test_a_repeat_is_recited_with_all_that_a_step_may_copy() -> None:
    """A draft goes to the last place that may still be written, and no further."""
    text = [*range(20), *range(20)]
    for name, options in (("prompt_lookup", {"depth": 6}), ("copyspec", {"depth": 6})):
        steps = recite(text, 24, name, **options)
        assert [len(step.nodes) for step in steps] == [6, 6, 1], name
