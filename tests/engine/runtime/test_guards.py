"""What is refused before anything runs, and what a few passes at load find out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from toys import FAMILIES, MAX_CONTEXT, REFUSED, VOCAB_SIZE, build, loaded, tiny

from engine.errors import BadInput
from engine.runtime import guards, waiting
from engine.runtime.extra import Layout, Mask
from engine.runtime.families import refuse_unsupported
from engine.runtime.runner import ModelRunner
from engine.runtime.waiting import Waiting
from engine.target import Target


def target_of(model: Any) -> Target:
    return Target(loaded(model, VOCAB_SIZE, MAX_CONTEXT))


@pytest.mark.parametrize("family", REFUSED)
def test_a_family_that_cannot_be_run_is_refused_by_its_name(family: str) -> None:
    with pytest.raises(BadInput, match=rf"^A {family.split()[0]} model .*; choose a model of another family"):
        target_of(build(REFUSED[family]()))


@pytest.mark.parametrize(
    ("family", "reason"),
    [("llama4_text", "chunks"), ("gpt_oss", "attention sinks"), ("mamba", "rolled back"), ("lfm2", "rolled back")],
)
def test_a_refusal_says_what_the_family_has(family: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        refuse_unsupported(build(REFUSED[family]()))


def test_a_family_that_says_it_has_taken_an_attention_function_and_never_calls_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(REFUSED["gptj"]())
    monkeypatch.setattr(type(model), "_can_set_attn_implementation", classmethod(lambda cls: True))
    with pytest.raises(BadInput, match="A gptj model computes attention in code of its own"):
        target_of(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_that_are_served_pass_within_the_rounding_of_a_prompts_products(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "_CHECKED", set())
    monkeypatch.setattr(guards, "TOLERANCES", {torch.float32: 1e-5})
    Target(tiny(family))


class Spoilt(Waiting):
    """Rows whose places or looks are wrong."""

    def copy(self) -> Waiting:
        raise AssertionError("all layers hold the same rows")


class SeesItsSibling(Spoilt):
    def mask(self, first: int, layout: Layout | None) -> Mask:
        return np.ones_like(super().mask(first, layout))


class MissesItsParent(Spoilt):
    def mask(self, first: int, layout: Layout | None) -> Mask:
        mask = super().mask(first, layout)
        return np.eye(*mask.shape, k=first, dtype=np.bool_)


class StandsInLine(Spoilt):
    def positions(self, first: int = 0, layout: Layout | None = None) -> list[int]:
        return list(range(self.num_committed + first, self.num_committed + len(self)))


@pytest.mark.parametrize("spoil", [SeesItsSibling, MissesItsParent, StandsInLine])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("dtype", guards.TOLERANCES)
def test_a_wrong_mask_or_position_is_beyond_every_tolerance(
    dtype: torch.dtype, family: str, spoil: type[Spoilt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "Waiting", spoil)
    model = build(FAMILIES[family](), "bfloat16" if dtype == torch.bfloat16 else "float32")
    runner = ModelRunner(model, MAX_CONTEXT, is_row_invariant=True)
    before, tokens = guards._ids(model)
    found, alone = guards._as_tree(runner, before, tokens), guards._alone(runner, before, tokens)
    assert guards.deviation(found, alone) > guards.TOLERANCES[dtype]
    with pytest.raises(BadInput, match=rf"otherwise than the same tokens alone .*: the {family} family"):
        guards.check(runner, "spoilt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused_with_the_dtype(value: float) -> None:
    model: Any = build(FAMILIES["llama"]())
    model.model.norm.weight[:] = value
    with pytest.raises(BadInput, match="The model toy scores tokens with numbers that are not finite in float32"):
        target_of(model)


def test_a_token_that_can_never_come_is_no_fault() -> None:
    """Some families give tokens without meaning a score of minus infinity."""
    config = transformers.LlamaConfig(**{**FAMILIES["llama"]().to_dict(), "dtype": None})
    model: Any = build(config)
    model.lm_head.bias = torch.nn.Parameter(torch.zeros(VOCAB_SIZE), requires_grad=False)
    model.lm_head.bias[5] = -torch.inf
    target_of(model)


def test_a_model_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(FAMILIES["llama"]())
    target_of(model)
    monkeypatch.setattr(guards, "_as_tree", None)
    target = target_of(model)
    assert target.kv_length == 0
