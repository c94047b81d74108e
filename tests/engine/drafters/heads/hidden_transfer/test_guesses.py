"""What Hidden Transfer's pseudo states foresee: compiled as through torch, as trained, and uncorrected where asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import create, logits_of, losses_of, stock, write_weights

from engine import drafters
from engine.drafters.heads._candidates import likeliest
from engine.drafters.heads.hidden_transfer.guesses import Corrections, Guesses
from engine.target import Target
from engine.training.layered import Layered
from engine.training.transfer import Transfer


def transfer_at(layers: tuple[int, ...]) -> Transfer:
    torch.manual_seed(1)
    return Transfer(Layered(stock("llama")), layers, 64)


def corrections(num_steps: int) -> Corrections:
    generator = torch.Generator().manual_seed(1)
    shapes = ((64, 128), (64,), (64, 64), (64,))
    return Corrections(*(torch.randn(num_steps, *shape, generator=generator) / 8 for shape in shapes))


@pytest.mark.parametrize("num_corrections", [0, 3])
def test_compiled_guesses_are_those_of_torch(llama: Target, num_corrections: int) -> None:
    tokens = np.arange(llama.loaded.model.get_output_embeddings().out_features)
    guesses = Guesses(llama.loaded, corrections(num_corrections), tokens)
    for num_steps in (1, 2, 3):
        states, owner = torch.randn(num_steps, 64), torch.randn(1, 64)
        wanted_tokens, wanted = likeliest(guesses.scores(states, owner, torch.tensor([7])), 6)
        tokens, log_probs = guesses.likeliest(states, owner, 7, 6)
        assert tokens.tolist() == wanted_tokens.tolist()
        np.testing.assert_allclose(log_probs, wanted, atol=1e-4)


def test_a_correction_is_what_training_makes_of_it(llama: Target, tmp_path: Path) -> None:
    """Same state, owner and token: the scores of the trained module are those of the weights that it writes."""
    table = stock("llama").get_input_embeddings().weight.detach()
    transfer = transfer_at((1, 1)).corrected(table)
    assert transfer.corrections is not None
    for parameter in transfer.corrections.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    folder = write_weights(tmp_path / "weights", transfer.tensors(), transfer.config())
    drafter: Any = drafters.create("hidden_transfer", {"weights": str(folder), "budget": 4}, llama)
    states, owner = torch.randn(2, 64), torch.randn(1, 64)
    with torch.inference_mode():
        normed = transfer.layered.norm(states)
        wanted = [transfer.guesses(step, states[step - 1], owner[0], torch.tensor(7)) for step in (1, 2)]
    torch.testing.assert_close(
        drafter._guesses.scores(normed, owner, torch.tensor([7])), torch.stack(wanted), atol=1e-4, rtol=1e-4
    )


def test_without_correction_states_are_read_as_they_are(llama: Target) -> None:
    drafter: Any = create("hidden_transfer", llama, correction="none")
    states = torch.randn(2, 64)
    found = drafter._guesses.scores(states, torch.randn(1, 64), torch.tensor([7]))
    torch.testing.assert_close(found, logits_of(stock("llama"), states), atol=1e-5, rtol=1e-5)


def test_corrections_learn_on_frozen_maps_what_maps_cannot_know() -> None:
    """Each token is followed by the next higher one, from any beginning: only the root tells step 1."""
    transfer = transfer_at((1,)).corrected(stock("llama").get_input_embeddings().weight.detach())
    before = transfer.maps[0].weight.clone()
    ids = torch.tensor([[(start + i) % 60 for i in range(20)] for start in range(0, 60, 3)])
    hidden = stock("llama").model(input_ids=ids[:, :-1]).last_hidden_state.detach()
    losses = losses_of(transfer, ids, hidden, num_steps=30, lr=0.02)
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(transfer.maps[0].weight, before)
