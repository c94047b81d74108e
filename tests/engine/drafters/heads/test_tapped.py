"""Drafters that tap the target's states: what their caches hold, and how many nodes they draft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import output_ids, prompt_ids

from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.drafters.base import Room
from engine.loop import generate
from tests.engine.checkpoints import dflash_layouts, eagle_layouts
from tests.engine.checkpoints.begun import deepest, step
from tests.engine.checkpoints.eagle_layouts import target

PROMPT = prompt_ids(9)
LAYOUTS: dict[str, Any] = {"eagle": eagle_layouts, "dflash": dflash_layouts}
CACHES = [("eagle", "EAGLE-3", {}), *(("dflash", "z-lab, windows", {"tree": tree}) for tree in ("ddtree", "chain"))]
each_of = pytest.mark.parametrize(("method", "layout"), [("eagle", "EAGLE-3"), ("dflash", "z-lab")])


def made(method: str, layout: str, tmp_path: Path, **options: Any) -> Any:
    return LAYOUTS[method].made(tmp_path, LAYOUTS[method].PUBLISHED[layout](), **options)


def read(drafter: Any) -> list[torch.Tensor]:
    """Keys and values of the text."""
    return [part[..., : drafter.num_read, :].clone() for part in (drafter.cache.keys, drafter.cache.values)]


@pytest.mark.parametrize(("method", "layout", "options"), CACHES)
def test_its_cache_is_that_of_the_text_whatever_was_drafted(
    method: str, layout: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Rejected rows and masks leave nothing: drafts behind a verified text are those of a drafter that begins there."""
    drafter = made(method, layout, tmp_path, **options)
    events = list(generate(target(), drafter, PROMPT, GenerationConfig(max_new_tokens=12)))
    text = [*PROMPT, *output_ids(events)]
    proposed, kept = drafter.propose(drafter.context, Room(12)), read(drafter)
    context = LAYOUTS[method].started(drafter, text[: drafter.num_read + 1])
    again = drafter.propose(context, Room(12))
    for own, fresh in zip(kept, read(drafter), strict=True):
        torch.testing.assert_close(own, fresh, atol=1e-4, rtol=1e-3)
    assert (again.tokens, again.parents) == (proposed.tokens, proposed.parents)


@each_of
def test_a_path_that_was_accepted_is_read_anew_from_the_targets_states(
    method: str, layout: str, tmp_path: Path
) -> None:
    drafter = made(method, layout, tmp_path)
    context = LAYOUTS[method].started(drafter, PROMPT)
    tree = drafter.propose(context, Room(8))
    path = deepest(tree)
    step(target(), drafter, context, tree, path, 7)
    assert not drafter.propose(context, Room(0))
    kept, num_read = read(drafter)[0], drafter.num_read
    assert num_read == len(PROMPT) + len(path)
    LAYOUTS[method].started(drafter, context.ids)
    torch.testing.assert_close(kept, read(drafter)[0], atol=1e-4, rtol=1e-3)


@each_of
def test_as_many_nodes_as_pay_are_drafted(method: str, layout: str, tmp_path: Path) -> None:
    """By shares where they were measured with the weights, else by what is accepted meanwhile."""
    drafter = made(method, layout, tmp_path, budget=0)
    context = LAYOUTS[method].started(drafter, PROMPT)
    num_nodes = len(drafter.propose(context, Room(64)))
    assert num_nodes == 59 if method == "eagle" else num_nodes > 8
    drafter.fit(Costs.known([1.0] + [99.0] * 128))
    assert not len(drafter.propose(context, Room(64)))
    (drafter.weights.folder / "shares.json").write_text(json.dumps([0.6, 0.2, 0.01]))
    drafter.fit(Costs.known([1.0, 1.1, 1.2, 9.0], draft=0.1))
    assert drafter.num_nodes == 2
