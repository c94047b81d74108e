"""RAPID: which chunks are read, that drafts are those of the shortened text, and when it is shortened anew."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from toys import MAX_CONTEXT, create, greedy_text, output_ids, prompt_ids, steps_of

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.small_models import rapid
from engine.drafters.small_models._retrieval import scores, shortened
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target

pytestmark = pytest.mark.usefixtures("draft_models")
READ: dict[str, Any] = {"budget": 20, "chunk": 4, "recent": 6, "refresh": 8}


def test_bm25_is_bm25() -> None:
    """Of two chunks of three tokens, by hand: 7 stands twice in the first; 9 in both, so it tells little."""
    found = scores([[7, 7, 9], [9, 8, 5]], [7, 9, 9])
    rare, common = math.log(1 + 1.5 / 1.5), math.log(1 + 0.5 / 2.5)
    assert found == pytest.approx([rare * 2 * 2.2 / (2 + 1.2) + 2 * common, 2 * common])


def test_a_shorter_chunk_with_the_same_token_counts_for_more() -> None:
    short, long = scores([[7, 1], [7, 1, 2, 3]], [7])
    assert short > long > 0


def test_the_beginning_the_best_chunks_and_the_end_are_kept_in_their_order() -> None:
    ids = [1, 2, 3, 4, 50, 51, 52, 53, 9, 9, 9, 9, 60, 61, 62, 63, 8, 8, 8, 8, 61, 50, 51]
    # The end takes the last two tokens and what is no whole chunk; of the three chunks between, two are asked for.
    assert shortened(ids, 16, 4, 2) == [1, 2, 3, 4, 50, 51, 52, 53, 60, 61, 62, 63, 61, 50, 51]
    assert shortened(ids, 11, 4, 2) == [1, 2, 3, 4, 50, 51, 52, 53, 61, 50, 51]
    assert shortened(ids, 7, 4, 2) == [1, 2, 3, 4, 61, 50, 51]
    assert shortened(ids, 6, 4, 2) == [61, 50, 51], "not even one chunk has room"
    assert shortened(ids, 2, 4, 9) == [50, 51]
    assert shortened(ids, 23, 4, 2) == ids, "short enough"


@pytest.mark.parametrize("num_tokens", [3, 40, 101])
@pytest.mark.parametrize(("budget", "chunk", "recent"), [(16, 4, 128), (20, 7, 3), (5, 64, 5), (33, 4, 6)])
def test_it_is_never_longer_than_asked_and_ends_as_the_text_does(
    num_tokens: int, budget: int, chunk: int, recent: int
) -> None:
    ids = prompt_ids(num_tokens)
    found = shortened(ids, budget, chunk, recent)
    assert 0 < len(found) <= budget
    num_end = min(recent, budget, len(ids))
    assert found[-num_end:] == ids[-num_end:]


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "seed": 2, "repetition_penalty": 1.3}], ids=str)
def test_drafts_are_those_of_the_shortened_text_and_the_text_is_plain_decodings(
    settings: dict[str, Any], llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = prompt_ids(MAX_CONTEXT - 40)
    chosen: list[int] = []
    shorten = rapid.shortened
    monkeypatch.setattr(rapid, "shortened", lambda ids, *how: chosen.append(len(ids)) or shorten(ids, *how))
    drafter, seen = create("rapid", llama, **READ, depth=3, min_confidence=0.0), list[Any]()
    propose = drafter.propose

    def noted(context: Context, room: Room) -> Any:
        tree = propose(context, room)
        seen.append(([*context.ids], room, tree))
        return tree

    drafter.propose = noted  # type: ignore[method-assign]
    config = GenerationConfig(max_new_tokens=30, **settings)
    found = output_ids(generate(llama, drafter, prompt, config))
    assert found == greedy_text(llama, prompt, 30, **settings)[len(prompt) :]
    assert chosen[0] == len(prompt)
    assert len(chosen) > 2
    text = [*prompt, *found]
    for num, later in itertools.pairwise(chosen):
        assert 20 + 8 < len(shorten(text[:num], 20, 4, 6)) + later - num <= 20 + 8 + 4
    if settings:
        return
    other = create("draft_model", llama, depth=3, min_confidence=0.0)
    for ids, room, tree in seen:
        num_covered = max(num for num in chosen if num <= len(ids))
        context = Context([*shorten(ids[:num_covered], 20, 4, 6), *ids[num_covered:]], config, Noise(0))
        other.start(context)
        assert other.propose(context, room).tokens == tree.tokens


def test_a_text_within_the_budget_is_read_whole(llama: Target) -> None:
    prompt, config = prompt_ids(12), GenerationConfig(max_new_tokens=16)
    whole, other = (
        steps_of([*generate(llama, create(name, llama), prompt, config)]) for name in ("draft_model", "rapid")
    )
    assert [step.nodes for step in whole] == [step.nodes for step in other]
