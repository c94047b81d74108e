"""The network on trees is the network of training, whatever was drafted, verified or drafted by another before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import prompt_ids

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.heads._weights import find_weights
from engine.drafters.heads.chimera.method import Chimera
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import chain
from engine.verify import Verdict
from tests.engine.drafters.heads.chimera.parts import make, network_of, started, step


def test_every_node_scores_as_training_scores_its_path(llama: Target, chimera: Chimera) -> None:
    """Also behind accepted nodes: the released code's mask, which hides a draft's own earlier c, would fail here."""
    network = network_of(find_weights(llama, "chimera", chimera.options.weights), llama.loaded.model)
    context = started(llama, chimera, prompt_ids(11))
    for path in ([], [0, 4, 12], [1]):
        step(llama, chimera, context, path, 7)
    tree, ids = chimera.propose(context, Room(64)), context.ids
    known = fresh_hidden(llama, ids[:-1])
    assert tree.depth == network.num_heads
    assert tree.draft_probs is not None
    for node in range(len(tree)):
        nodes = tree.path_to(node)
        row = torch.tensor([[*ids, *(tree.tokens[i] for i in nodes), *[0] * (8 - len(nodes))]])
        hidden = torch.nn.functional.pad(known, (0, 0, 0, row.shape[1] - 1 - len(known)))[None]
        scores = list(network.scores(row, hidden))[len(nodes) - 1][0, len(ids) - 2]
        assert scores.softmax(dim=0)[tree.tokens[node]].item() == pytest.approx(tree.draft_probs[node], rel=1e-3)


def fresh_hidden(target: Target, ids: Sequence[int]) -> Tensor:
    other = Target(target.loaded)
    other.hidden_layers = (-1,)
    found = other.prefill(ids)
    assert found is not None
    return found[0]


def test_the_cache_after_a_step_is_that_of_verified_states_and_trigrams(
    llama: Target, chimera: Chimera, tmp_path: Path
) -> None:
    """The target's h replaces every drafted c, with nodes accepted that were run, that were not, and none."""
    context = started(llama, chimera, prompt_ids(9))
    for path in ([0], [], [0, 4, 12, 20], [1, 7], [3]):
        step(llama, chimera, context, path, 5)
        chimera.propose(context, Room(64))
        fresh = make(llama, tmp_path)
        again = Context(list(context.ids), context.config, context.noise)
        again.prompt_hidden = (fresh_hidden(llama, context.ids[:-1]),)
        fresh.start(again)
        num_columns = 2 * (len(context.ids) - 1)
        for kept, wanted in ((chimera.cache.keys, fresh.cache.keys), (chimera.cache.values, fresh.cache.values)):
            torch.testing.assert_close(kept[:, :num_columns], wanted[:, :num_columns], atol=1e-4, rtol=1e-4)


def test_another_drafters_accepted_tokens_are_read_too(llama: Target, chimera: Chimera, tmp_path: Path) -> None:
    """As in a fallback: nothing of them was drafted here."""
    context = started(llama, chimera, prompt_ids(9))
    context.tree = chain([11, 12])
    scored = llama.score(context.root_id, context.tree)
    llama.commit([0, 1])
    context.ids += [11, 12, 13]
    chimera.observe(Verdict((0, 1), 13, "bonus"), [11, 12, 13], scored)
    fresh = make(llama, tmp_path)
    again = started(Target(llama.loaded), fresh, context.ids)
    assert chimera.propose(context, Room(64)).tokens == fresh.propose(again, Room(64)).tokens


def test_steps_of_another_drafter_may_come_one_after_another(llama: Target, chimera: Chimera, tmp_path: Path) -> None:
    """States wait for the next draft, and nothing of an earlier draft is moved for tokens that happen to equal it."""
    context = started(llama, chimera, prompt_ids(9))
    step(llama, chimera, context, [0, 4], 7)
    stale = chimera.propose(context, Room(64))
    twice = [[stale.tokens[node] for node in stale.path_to(12)], [stale.tokens[0], 3], [5]]
    for first, *texts in ([chimera], [chimera, *twice], [chimera, [11, 12], *twice]):
        for text in texts:
            context.tree = chain(text)
            scored = llama.score(context.root_id, context.tree)
            llama.commit(range(len(text)))
            context.ids += [*text, 13]
            first.observe(Verdict(tuple(range(len(text))), 13, "bonus"), [*text, 13], scored)
        fresh = make(llama, tmp_path)
        again = started(Target(llama.loaded), fresh, context.ids)
        found, wanted = first.propose(context, Room(64)), fresh.propose(again, Room(64))
        assert found.tokens == wanted.tokens
        assert found.draft_probs == pytest.approx(wanted.draft_probs, rel=1e-3)


def test_remembering_trigrams_changes_no_draft(llama: Target, tmp_path: Path) -> None:
    found = []
    for remembers in (True, False):
        drafter = make(llama, tmp_path, remembers=remembers)
        events = generate(llama, drafter, prompt_ids(30), GenerationConfig(max_new_tokens=40))
        found.append([event.nodes for event in events if isinstance(event, Stepped)])
    assert found[0] == found[1]
    assert any(len(nodes) > 10 for nodes in found[0])
