"""A runner that is broken on purpose is called different."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
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
from engine.target import Target
from engine.tree import DraftTree


def later_row_sees_all(mask: torch.Tensor, num_before: int) -> None:
    """A wrong mask: every draft sees the drafts before it, whoever they are."""
    num_rows = mask.shape[2]
    mask[..., num_before:] = torch.tril(torch.ones(num_rows, mask.shape[3] - num_before, dtype=torch.bool))


def drop_the_parent(mask: torch.Tensor, num_before: int) -> None:
    """A dropped ancestor: drafts do not see the draft that they follow."""
    own = mask[0, 0, :, num_before:]
    for row in range(1, len(own)):
        parents = own[row, :row].nonzero().flatten()
        if len(parents):
            mask[0, 0, row, num_before + parents[-1]] = False


def break_passes(monkeypatch: pytest.MonkeyPatch, target: Target, fault: str) -> None:
    """Passes of several rows, and no others, go wrong in this way."""
    model, forward = target.loaded.model, target.loaded.model.forward

    def broken(**given: Any) -> Any:
        num_rows = given["input_ids"].shape[1]
        if fault != "none" and num_rows > 1 and target.kv_length >= 8:  # behind the prefill
            if fault == "position":
                given["position_ids"] = given["position_ids"] + (torch.arange(num_rows) > 0)
            else:
                change = {"mask": later_row_sees_all, "ancestor": drop_the_parent}[fault]
                mask = given["attention_mask"].clone()
                change(mask, mask.shape[-1] - num_rows)
                given["attention_mask"] = mask
        return forward(**given)

    monkeypatch.setattr(model, "forward", broken)


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
@pytest.mark.parametrize("fault", ["none", "mask", "position", "ancestor"])
def test_a_runner_that_is_broken_is_called_different(fault: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault need not change a short text; of three seeds one must, and is never taken for rounding."""
    target = Target(tiny("gpt_neox", dtype))
    prompt, verdicts = list(range(1, 10)), []
    break_passes(monkeypatch, target, fault)
    for seed in (3, 4, 5) if fault != "none" else (3,):
        config = GenerationConfig(max_new_tokens=24, temperature=1.0, seed=seed)
        plain = plain_run(target, prompt, config)
        script = crowded([*prompt, *output_ids(plain)])
        verdicts.append(audit(target, plain, list(generate(target, ScriptedDrafter(script), prompt, config))).verdict)
        if verdicts[-1] == "DIFFERENT":
            break
    assert verdicts[-1] == "DIFFERENT" if fault != "none" else verdicts == ["identical"]
