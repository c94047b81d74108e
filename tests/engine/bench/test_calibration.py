"""The search for layers that a target can spare: its climb on known numbers, its trials on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys import build, loaded, prompt_ids, tiny
from toys.families import FAMILIES, MAX_CONTEXT, VOCAB_SIZE

from engine.bench.calibration import Layers, Prices, Trial, calibrate, climbed, prices_of, tried
from engine.drafters import calibrations
from engine.errors import BadInput
from engine.target import Target
from tests.engine.commands.conftest import Shell, shell, suite

PROMPTS = [prompt_ids(5), prompt_ids(9)]
__all__ = ["shell"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrations, "user_cache", lambda: tmp_path / "cache")


def speed(skip: Layers) -> Trial:
    """Layers 1 and 4 are worth leaving out, each by itself, and 3 as soon as 4 is gone; the others cost."""
    worth = sum({1: 0.2, 4: 0.3}.get(layer, -0.1) for layer in skip) + 0.3 * ({3, 4} <= skip)
    return Trial(skip, 1 + worth, 1.0)


def test_the_climb_ends_where_no_layer_changes_it() -> None:
    for start in (frozenset(), frozenset({0, 2, 3})):
        steps = list(climbed(speed, start, 6, lambda: False))
        assert steps[-1][1].skip == {1, 3, 4}
        assert [done for *_, done in steps] == [False] * (len(steps) - 1) + [True]
        assert [best.expected_speed for _, best, _ in steps] == sorted(best.expected_speed for _, best, _ in steps)
        assert len(steps) < 4 * 6


def test_the_climb_ends_when_it_is_told_to_with_the_best_so_far() -> None:
    stops = iter([False, False, True])
    steps = list(climbed(speed, frozenset(), 6, lambda: next(stops)))
    assert [sorted(trial.skip) for trial, *_ in steps] == [[], [5], [4]]
    assert (sorted(steps[-1][1].skip), steps[-1][2]) == ([4], False)


def test_never_are_all_layers_left_out() -> None:
    steps = list(climbed(lambda skip: Trial(skip, len(skip), 1.0), frozenset(), 3, lambda: False))
    assert len(steps[-1][1].skip) == 2
    assert all(len(trial.skip) < 3 for trial, *_ in steps)


def test_a_draft_that_leaves_nothing_out_is_accepted_whole_and_costs_what_it_costs() -> None:
    """Six drafted and one more a pass, each drafted token at the price of a pass, passes of any rows at that of one."""
    trial = tried(Target(tiny("llama")), PROMPTS, 21, Prices((1.0,) * 129, 1.0, 0.25), frozenset())
    assert trial.block_efficiency <= 7
    assert trial.expected_speed == pytest.approx(1.0)
    cheaper = tried(Target(tiny("llama")), PROMPTS, 21, Prices((1.0,) * 129, 0.0, 0.0), frozenset())
    assert cheaper.expected_speed == pytest.approx(cheaper.block_efficiency)


def test_prices_fall_with_each_layer() -> None:
    assert Prices((1.0,), 0.9, 0.1).of(frozenset({3, 5})) == pytest.approx(0.7)
    assert Prices((1.0,), 0.1, 0.1).of(frozenset({3, 5})) == 0
    assert prices_of(Target(tiny("llama"))).of(frozenset({1})) == pytest.approx(0.2 / 4)


def test_a_model_with_one_layer_has_none_to_spare() -> None:
    config = FAMILIES["llama"]()
    config.num_hidden_layers = 1
    target = Target(loaded(build(config), VOCAB_SIZE, MAX_CONTEXT))
    with pytest.raises(BadInput, match="has one layer, and none to spare"):
        calibrate(target, PROMPTS, 4, lambda: False, print)


def test_a_family_whose_layers_cannot_be_parted_is_refused_with_the_reason() -> None:
    target = Target(tiny("gpt2"))
    layer = target.runner.model.transformer.h[-1]
    hook = layer.register_forward_hook(lambda module, given, output: (output, torch.zeros(1)))
    try:
        with pytest.raises(BadInput, match=r"draft with some of its layers: A gpt2 model cannot be cut into layers"):
            tried(target, PROMPTS, 4, Prices((1.0,) * 129, 1.0, 0.0), frozenset({0}))
    finally:
        hook.remove()  # other tests run the same model


def test_the_command_keeps_what_it_found_and_goes_on_from_it(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["calibrate", "self_speculation", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32"]
    status, out, err = shell.run(*words, "--max-new-tokens", 6)
    assert status == 0
    assert "drafts best without layers" in out
    assert "self_speculation takes it from now on" in out
    assert err.splitlines()[0].startswith("Set 1: without ")
    (path,) = (tmp_path / "cache" / "calibrated").iterdir()
    assert str(path) in out
    assert not list(Path(shell.model).glob("*self_speculation*"))
    layers = out.partition("layers ")[2].partition(":")[0]
    _, _, err = shell.run(*words, "--max-new-tokens", 6, "--limit-minutes", 1e-9)
    assert err.startswith(f"Set 1: without {layers}: ")
    assert "the same command goes on from here" in err
    assert shell.report("self_speculation")["options"]["skip"] == layers.replace("none", "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["medusa"], "invalid choice: 'medusa'"),
        (["self_speculation", "--limit-minutes", "0"], "--limit-minutes is 0; wanted a number above 0."),
        (["self_speculation", "--max-new-tokens", "0"], "--max-new-tokens is 0; wanted a whole number from 1."),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(shell: Shell, words: list[str], sentence: str) -> None:
    status, _, err = shell.run("calibrate", *words, "--model", shell.model)
    assert status == 2
    assert sentence in err


def test_layers_that_are_out_of_range_are_refused(shell: Shell) -> None:
    status, _, err = shell.generate("self_speculation", "--set", "skip=99")
    assert status == 2
    assert "Option skip is '99'; wanted auto, calibrated, middle, or some of the layers 0 to" in err
