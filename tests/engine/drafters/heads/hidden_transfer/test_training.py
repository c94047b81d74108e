"""Hidden Transfer's training: it agrees with decoding on the pseudo rows, and learns; the sweep over layers."""

from __future__ import annotations

import pytest
import torch
from toys import logits_of, losses_of, prompt_ids, stock, tiny

from engine.drafters.heads.hidden_transfer.maps import Maps
from engine.errors import BadInput
from engine.runtime.extra import ExtraRows
from engine.runtime.runner import ModelRunner
from engine.training import layer_sweep
from engine.training.layered import Layered
from engine.training.transfer import Transfer

PARTS = ("weight", "bias")


def transfer_for(family: str, layers: tuple[int, ...]) -> Transfer:
    torch.manual_seed(1)
    return Transfer(Layered(stock(family)), layers, 64)


def maps_of(transfer: Transfer) -> Maps:
    state = transfer.state_dict()
    weights, biases = ([state[f"maps.{step}.{part}"] for step in range(len(transfer.layers))] for part in PARTS)
    return Maps(transfer.layers, weights, biases)


@pytest.mark.parametrize("layers", [(1, 1), (0, 1), (1, 0)])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral"])
def test_training_gives_a_pseudo_row_the_logits_that_decoding_gives_it(family: str, layers: tuple[int, ...]) -> None:
    transfer, text = transfer_for(family, layers), prompt_ids(12)
    with torch.inference_mode():
        states = transfer.last_states(transfer.layered.real(torch.tensor([text])), torch.tensor([[4, 9]]))
        trained = transfer.layered.scores(states)[0]
    runner = ModelRunner(tiny(family).model, 160, is_row_invariant=True)
    for place, position in enumerate((4, 9)):
        runner.prefill(text[:position])
        extra = ExtraRows(maps_of(transfer), (0, 0), (1, 2))
        rows = runner.extend([text[position]], [-1], extra=extra)
        assert rows.extra is not None
        found = logits_of(stock(family), rows.extra.states())
        torch.testing.assert_close(found, trained[place], atol=1e-4, rtol=1e-4)


def test_real_rows_of_training_are_those_of_transformers() -> None:
    ids = torch.tensor([prompt_ids(11), prompt_ids(11, seed=2)])
    rows = Layered(stock("qwen3")).real(ids)
    with torch.inference_mode():
        wanted = stock("qwen3")(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(rows.entering[1], wanted[1], atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_map_through_the_frozen_layers_and_nothing_else() -> None:
    transfer = transfer_for("llama", (1, 0, 1))
    ids = torch.tensor([prompt_ids(24)])
    hidden = stock("llama").model(input_ids=ids[:, :-1]).last_hidden_state
    transfer(ids, hidden).backward()
    for linear in transfer.maps:
        assert linear.weight.grad is not None
        assert linear.weight.grad.abs().sum() > 0
    assert {name.split(".")[0] for name, _ in transfer.named_parameters()} == {"maps"}
    assert all(parameter.grad is None for parameter in stock("llama").parameters())


def test_a_trained_map_foresees_what_an_untrained_one_does_not() -> None:
    """A text of period 3 in a target whose states tell the token: the loss falls far."""
    transfer = transfer_for("llama", (1, 1))
    ids = torch.tensor([[5, 9, 2] * 12])
    hidden = stock("llama").model(input_ids=ids[:, :-1]).last_hidden_state
    losses = losses_of(transfer, ids, hidden, num_steps=40, lr=0.02)
    assert losses[-1] < 0.2 * losses[0]


def test_a_target_of_another_family_is_refused_with_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"llama, mistral.*this one is a gpt2 model"):
        Layered(stock("gpt2"))


def test_the_last_layer_of_a_steps_plateau_is_taken() -> None:
    accuracy = {"layer 1": [0.3, 0.4], "layer 2": [0.5, 0.395], "layer 3": [0.495, 0.38]}
    assert layer_sweep.best_layers(accuracy) == (3, 2)


def test_the_sweep_is_drawn_with_a_line_a_step() -> None:
    drawing = layer_sweep.draw({"1": [0.3, 0.1], "4": [0.5, 0.2], "7": [0.4, 0.1]})
    assert drawing.count("<polyline") == 2
    assert "step 2" in drawing
    assert "layer 7" in drawing
