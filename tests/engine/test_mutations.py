"""A runner that is broken on purpose is called different."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from toys import (
    Script,
    ScriptedDrafter,
    output_ids,
    tiny,
)

from engine.audit import audit, plain_run
from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.loop import generate
from engine.runtime.extra import Layout, Mask
from engine.runtime.waiting import Waiting
from engine.target import Target
from engine.tree import DraftTree


def later_row_sees_all(mask: Mask, first: int) -> None:
    """A wrong mask: every draft sees the drafts before it, whoever they are."""
    mask[:, first:] = np.tril(np.ones((len(mask), len(mask)), dtype=np.bool_))


def drop_the_parent(mask: Mask, first: int) -> None:
    """A dropped ancestor: drafts do not see the draft that they follow."""
    for row in range(1, len(mask)):
        parents = mask[row, first : first + row].nonzero()[0]
        if len(parents):
            mask[row, first + parents[-1]] = False


MASKS = {"mask": later_row_sees_all, "ancestor": drop_the_parent}


def break_passes(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Passes of several rows behind a prompt, and no others, go wrong in this way."""
    mask_of, positions_of = Waiting.mask, Waiting.positions

    def mask(self: Waiting, first: int, layout: Layout | None) -> Mask:
        found = mask_of(self, first, layout)
        if fault in MASKS and self.num_committed >= 8:
            MASKS[fault](found, first)
        return found

    def positions(self: Waiting, first: int = 0, layout: Layout | None = None) -> list[int]:
        found = positions_of(self, first, layout)
        if fault == "position" and self.num_committed >= 8:
            found[1:] = [position + 1 for position in found[1:]]
        return found

    monkeypatch.setattr(Waiting, "mask", mask)
    monkeypatch.setattr(Waiting, "positions", positions)


def crowded(text: Sequence[int]) -> Script:
    """Three true tokens, each behind five wrong ones that nobody but themselves should see."""

    def script(context: Context, budget: int) -> DraftTree:
        tokens: list[int] = []
        parents: list[int] = []
        parent = -1
        for true in text[len(context.ids) : len(context.ids) + 3]:
            tokens += [*((true + 7 * i) % 64 for i in range(1, 6)), true]
            parents += [parent] * 6
            parent = len(tokens) - 1
        return DraftTree(tuple(tokens), tuple(parents))

    return script


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["gpt_neox", "llama"])
@pytest.mark.parametrize("fault", ["none", "mask", "position", "ancestor"])
def test_a_runner_that_is_broken_is_called_different(
    fault: str, family: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault need not change a short text; of three seeds one must, and is never taken for rounding.

    Of gpt_neox by transformers' forward, of llama in the compiled pass.
    """
    target = Target(tiny(family, dtype))
    prompt, verdicts = list(range(1, 10)), []
    break_passes(monkeypatch, fault)
    for seed in (3, 4, 5) if fault != "none" else (3,):
        config = GenerationConfig(max_new_tokens=24, temperature=1.0, seed=seed)
        plain = plain_run(target, prompt, config)
        script = crowded([*prompt, *output_ids(plain)])
        verdicts.append(audit(target, plain, list(generate(target, ScriptedDrafter(script), prompt, config))).verdict)
    if fault == "none":
        assert verdicts == ["identical"]
    else:
        assert "DIFFERENT" in verdicts
        assert "near-tie" not in verdicts
