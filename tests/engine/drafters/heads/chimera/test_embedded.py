"""What a faithful implementation must show (arXiv 2402.15758), on the embedded weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from toys import output_ids

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters.heads._weights import find_weights
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target
from engine.training import chimera as training
from engine.training.activations import hidden_states
from engine.training.runs import load_target
from tests.engine.drafters.heads.chimera.parts import network_of

EMBEDDED = models.ASSETS / "models" / "story-chimera"


def test_without_the_context_or_the_known_state_later_heads_foresee_less() -> None:
    """Removing the encoder's attention, or h from the heads' input, lowers the top-1 accuracy of each later head."""
    target, tokenizer = load_target("story", "cpu")
    rows = heldout_texts(tokenizer)
    hidden = [hidden_states(target, row[None]).float() for row in rows]
    weights = find_weights(Target(models.load("story", "cpu")), "chimera", str(EMBEDDED))
    network = network_of(weights, target)
    whole = top_1(network, rows, hidden)
    no_context = network_of(weights, target)
    no_context.encoder.o_proj.weight.zero_()
    no_known = network_of(weights, target)
    for head in no_known.heads:
        head.weight[:, : weights.number("hidden_size")] = 0  # type: ignore[index]
    for maimed in (no_context, no_known):
        left = top_1(maimed, rows, hidden)
        assert all(less < more for less, more in zip(left[1:], whole[1:], strict=True)), (whole, left)


def heldout_texts(tokenizer: Any) -> list[Tensor]:
    """What the embedded target writes on a few questions of the story suite, with the questions."""
    from engine import suites

    target = Target(models.load("story", "cpu"))
    texts = []
    for question in suites.questions("story", 6):
        ids = target.loaded.encode(question.turns[0])
        plain = drafters.create("plain", {}, target)
        texts.append([*ids, *output_ids(generate(target, plain, ids, GenerationConfig(max_new_tokens=64)))])
    return [torch.tensor(ids) for ids in texts]


def top_1(network: training.Chimera, rows: Sequence[Tensor], hidden: Sequence[Tensor]) -> list[float]:
    """Accuracy of each head with the true tokens fed."""
    right = torch.zeros(network.num_heads)
    places = 0
    for row, states in zip(rows, hidden, strict=True):
        scores = list(network.scores(row[None], states))
        for head, logits in enumerate(scores):
            wanted = row[2 + head : 2 + head + logits.shape[1]]
            right[head] += (logits[0].argmax(dim=-1) == wanted).sum()
        places += scores[0].shape[1]
    return (right / places).tolist()


def test_remembering_trigrams_changes_no_draft_of_the_embedded_weights() -> None:
    target = Target(models.load("story", "cpu"))
    found = []
    for remembers in (True, False):
        drafter = drafters.create("chimera", {"remembers": remembers, "budget": 16}, target)
        events = generate(target, drafter, "Tell me a story about a dog.", GenerationConfig(max_new_tokens=40))
        found.append([event.nodes for event in events if isinstance(event, Stepped)])
    assert found[0] == found[1]
