"""GSD: equal continuations are drafted once and verified everywhere; the cache keeps what was read in its own text."""

from __future__ import annotations

import pytest
import torch
from toys import Table, create, greedy_text, output_ids, prompt_ids

from engine.config import GenerationConfig
from engine.drafters.base import Room
from engine.drafters.small_models.gsd import Gsd
from engine.loop import generate
from engine.noise import Noise
from engine.runtime.runner import ModelRunner
from engine.target import Target
from engine.tree import DraftTree
from tests.engine.drafters.small_models.tables import FromTable

pytestmark = pytest.mark.usefixtures("draft_models")


def draft(table: Table, **options: object) -> tuple[DraftTree, FromTable, int]:
    """The tree of a step, its drafter, and how many nodes the model was fed."""
    drafter = FromTable("gsd", table, **options)
    fed: list[int] = []
    read = drafter._read
    drafter.drafter.__dict__["_feed_nodes"] = lambda nodes, growing: (fed.extend(nodes), read(nodes, growing))[1]
    return drafter.draft(Noise(0), Room(64), "greedy", temperature=0.0), drafter, len(fed)


FULL = {"width": 3, "depth": 3, "nodes": 64, "sibling": 0.0, "least": 0.0}


def test_where_a_continuation_hangs_on_the_last_token_alone_the_graph_is_the_tree() -> None:
    """The table looks at two tokens; nodes that agree in two are exactly alike, and none is drafted twice."""
    table = Table(3, seed=4)
    whole, _, fed_whole = draft(table, repeat=4, **FULL)
    shared, _, fed_shared = draft(table, repeat=1, **FULL)
    texts = [{tuple(tree.tokens[i] for i in tree.path_to(n)) for n in range(len(tree))} for tree in (whole, shared)]
    assert texts[0] == texts[1]
    assert len(whole) == 3 + 9 + 27
    assert fed_shared < fed_whole
    by_text = [
        {tuple(tree.tokens[i] for i in tree.path_to(n)): tree.draft_probs[n] for n in range(len(tree))}  # type: ignore[index]
        for tree in (whole, shared)
    ]
    assert by_text[0] == pytest.approx(by_text[1])


def test_weak_siblings_are_left_out_and_unlikely_nodes_are_not_followed() -> None:
    table = Table(4, seed=4, sharpness=2.0)
    tree, _, _ = draft(table, width=4, depth=1, nodes=64, sibling=0.5, least=0.0)
    probs = tree.draft_probs
    assert probs is not None
    assert min(probs) >= 0.5 * max(probs)
    shallow, _, fed = draft(table, width=4, depth=3, nodes=64, sibling=0.0, least=1.0)
    assert (shallow.depth, fed) == (1, 0)


def test_repeats_on_a_nodes_own_path_are_no_links() -> None:
    """A text that says the same again and again would be a circle."""
    table = Table(2, seed=1)
    table.logits = torch.tensor([3.0, 0.0]).expand_as(table.logits).double()
    tree, _, _ = draft(table, width=1, depth=4, nodes=64, repeat=0, sibling=0.0, least=0.0)
    assert tree.tokens == (0, 0, 0, 0)


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "seed": 2}], ids=["greedy", "sampled"])
def test_the_models_cache_is_that_of_the_text_though_paths_went_over_links(
    settings: dict[str, float], llama: Target
) -> None:
    drafter = create("gsd", llama, repeat=0, sibling=0.0, least=0.0)
    assert isinstance(drafter, Gsd)
    fresh = ModelRunner(drafter.runner.model, 64, is_row_invariant=False)
    prompt = prompt_ids(5)
    text = greedy_text(llama, prompt, 20, **settings)
    observe = drafter.observe

    def checked(*given: object) -> None:
        observe(*given)  # type: ignore[arg-type]
        num = drafter.runner.num_committed
        fresh.prefill(drafter.context.ids[:num])
        for kept, wanted in zip(drafter.runner.kv(0), fresh.kv(0), strict=True):
            torch.testing.assert_close(kept, wanted, atol=1e-5, rtol=1e-5)

    drafter.__dict__["observe"] = checked
    assert output_ids(generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=20, **settings))) == text[5:]  # type: ignore[arg-type]
