"""DFlash's trees on the laws of its places, its cache, its draws, and how much it drafts."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from toys import assert_fits, prompt_ids

from engine.config import GenerationConfig
from engine.drafters.base import Room
from engine.drafters.heads import _layers, _trees
from engine.drafters.heads.dflash import compiled
from engine.drafters.heads.dflash.compiled import CompiledCache
from engine.drafters.heads.dflash.network import CalledCache, DFlashCache
from engine.drafters.heads.dflash.places import by_noise
from engine.drafters.trust import Trust
from engine.errors import BadInput
from engine.noise import Noise
from tests.engine.checkpoints.begun import paths
from tests.engine.checkpoints.dflash_layouts import PUBLISHED, Reference, made, started

PROMPT = prompt_ids(9)
Tokens = tuple[int, ...]


def best_first(reference: Reference, top_k: int, num_nodes: int) -> dict[Tokens, float]:
    """DDTree's tree by its definition: of all paths of the places' likeliest tokens those of the highest product."""
    ids, laws = reference.laws()
    ranked = [[(int(ids[row]), float(law[row])) for row in law.topk(top_k).indices] for law in laws]
    pool = {
        tuple(token for token, _ in steps): math.prod(prob for _, prob in steps)
        for depth in range(1, len(ranked) + 1)
        for steps in itertools.product(*ranked[:depth])
    }
    return dict(sorted(pool.items(), key=lambda entry: -entry[1])[:num_nodes])


@pytest.mark.parametrize("layout", ["z-lab", "speculators", "DeepSpec"])
def test_the_tree_is_of_the_likeliest_paths(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlikely ones too, where none is left out for that."""
    monkeypatch.setattr(_trees, "LEAST_SHARE", 0.0)
    published = PUBLISHED[layout]()
    drafter = made(tmp_path, published, top_k=3, budget=12)
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(64))
    assert paths(tree) == pytest.approx(best_first(Reference(published, context), 3, 12), rel=1e-3)
    assert tree.depth > 1


def test_a_long_prompt_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafter = made(tmp_path, PUBLISHED["z-lab, windows"]())
    whole = drafter.propose(started(drafter, PROMPT), Room(8))
    monkeypatch.setattr(compiled, "MOST_ROWS", 3)
    parts = drafter.propose(started(drafter, PROMPT), Room(8))
    assert (whole.tokens, whole.parents) == (parts.tokens, parts.parents)
    assert whole.draft_probs == pytest.approx(parts.draft_probs, rel=1e-4)


@pytest.mark.parametrize(("room", "form"), [(0, CompiledCache), (-1, CalledCache)])
def test_blocks_run_compiled_beside_small_targets(
    room: int, form: type[DFlashCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = PUBLISHED["z-lab"]()
    largest = published.tensors["fc.weight"].numel()  # three states of the target in, one out
    monkeypatch.setattr(_layers, "MOST_COMPILED", largest + room)
    drafter = made(tmp_path, published)
    assert drafter.network.form.largest_matrix == largest
    started(drafter, PROMPT)
    assert isinstance(drafter.cache, form)


def test_room_and_options_bound_the_tree(tmp_path: Path) -> None:
    drafter = made(tmp_path, PUBLISHED["z-lab"](), budget=0, depth=3)
    context = started(drafter, PROMPT)
    assert drafter.propose(context, Room(64)).depth <= 3
    assert drafter.propose(context, Room(64, 1)).depth == 1
    assert len(drafter.propose(context, Room(2))) <= 2
    assert not len(drafter.propose(context, Room(0)))


def test_a_drawn_chain_is_drawn_from_what_it_states(tmp_path: Path) -> None:
    """Place by place, the law of each by the reference at the run's temperature; and no draw tells of another."""
    published = PUBLISHED["speculators"]()
    drafter = made(tmp_path, published, tree="chain")
    context, counts = started(drafter, PROMPT, temperature=0.7, rule="rejection"), torch.zeros(3, 64)
    pairs = torch.zeros(64, 64)
    for seed in range(400):
        context.noise = Noise(seed)
        tree = drafter.propose(context, Room(8))
        assert tree.draws is not None
        counts[range(3), list(tree.tokens)] += 1
        pairs[tree.tokens[0], tree.tokens[1]] += 1
    ids, laws = Reference(published, context).laws()
    wanted = torch.zeros(3, 64)
    wanted[:, ids] = (laws.log() / 0.7).softmax(dim=-1)
    torch.testing.assert_close(tree.draws.rows, wanted, atol=1e-3, rtol=1e-2)
    for place in range(3):
        assert_fits(counts[place], wanted[place].double())
    assert_fits(pairs, wanted[0][:, None].double() * wanted[1].double())


def test_a_tree_is_not_drawn(tmp_path: Path) -> None:
    drafter = made(tmp_path, PUBLISHED["z-lab"]())
    with pytest.raises(BadInput, match="dflash chooses its drafts"):
        drafter.check(GenerationConfig(temperature=1.0, rule="rejection"))


def test_places_are_ranked_by_the_noise_that_is_shared(tmp_path: Path) -> None:
    """Where the drafter's law is the target's, what comes first is what node-sampling will draw there."""
    drafter = made(tmp_path, PUBLISHED["z-lab"]())
    context = started(drafter, PROMPT, temperature=0.8)
    logits = torch.randn(4, 64, generator=torch.Generator().manual_seed(2))
    tokens, probs, chances = by_noise(logits, context, Trust(), 5)
    laws = (logits / 0.8).softmax(dim=-1)
    wanted = [context.noise.draw(law, context.position + place) for place, law in enumerate(laws)]
    assert tokens[:, 0].tolist() == wanted
    assert probs == pytest.approx(laws.gather(1, torch.from_numpy(tokens)).numpy(), rel=1e-4)
    assert (chances[:, :-1] >= chances[:, 1:]).all()
