"""No method drafts more, deeper or other ids than there is room for; methods are found from the registry."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from toys import MAX_CONTEXT, VOCAB_SIZE, create, output_ids, prompt_ids

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree

SAMPLED: dict[str, Any] = {"temperature": 0.9, "top_p": 0.9, "seed": 3}
REPEATING = [*prompt_ids(7), *prompt_ids(7), *prompt_ids(4)]
pytestmark = pytest.mark.usefixtures("draft_models")


def proposed(name: str, target: Target, config: GenerationConfig, room: Room, **given: Any) -> DraftTree:
    """The draft of a session's third step, whose rows and tables are warm."""
    drafter = create(name, target, **given)
    trees: list[DraftTree] = []
    propose = drafter.propose

    def third(context: Context, full: Room) -> DraftTree:
        trees.append(propose(context, room if len(trees) == 2 else full))
        return trees[-1]

    drafter.propose = third  # type: ignore[method-assign]
    events = generate(target, drafter, REPEATING, dataclasses.replace(config, max_new_tokens=40))
    while len(trees) < 3:
        next(events)
    return trees[2]


@pytest.mark.parametrize("name", drafters.names())
@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_proposals_are_trees_within_the_room_and_the_vocabulary(
    name: str, settings: dict[str, Any], llama: Target
) -> None:
    config = GenerationConfig(**settings)
    given: dict[str, Any] = {"width": 3} if name in ("draft_model", "pard") else {}
    for room in (Room(0, 0), Room(1), Room(3), Room(64, 1), Room(64, 2), Room(5, 2), Room(64)):
        tree = proposed(name, llama, config, room, **given)
        assert len(tree) <= room.nodes
        assert tree.depth <= room.depth
        assert all(0 <= token < VOCAB_SIZE for token in tree.tokens)
        assert tree.draft_probs is None or all(0 <= prob <= 1 for prob in tree.draft_probs)
        assert not tree.is_sampled


@pytest.mark.parametrize("name", drafters.names())
def test_no_more_is_drafted_than_may_still_be_emitted(name: str, llama: Target) -> None:
    """The loop cuts nothing: what it is given fits, to the end of the text and of the context."""
    drafter, seen = create(name, llama), []
    propose = drafter.propose

    def watched(context: Context, room: Room) -> DraftTree:
        left = min(12 - (len(context.ids) - len(prompt)), MAX_CONTEXT - len(context.ids))
        assert room.depth == left - 1
        seen.append((propose(context, room), room))
        return seen[-1][0]

    drafter.propose = watched  # type: ignore[method-assign]
    for prompt in (REPEATING, prompt_ids(MAX_CONTEXT - 6)):
        output_ids(generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=12, has_detail=False)))
    for tree, room in seen:
        assert tree.depth <= room.depth
        assert len(tree) <= room.nodes
