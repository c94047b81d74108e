"""Chimera's training: what it learns, what its steps see, its loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toys import VOCAB_SIZE, losses_of, random_weights, tiny

from engine.drafters.heads._weights import find_weights
from engine.drafters.heads.chimera.method import triple_at
from engine.target import Target
from engine.training import chimera as training
from engine.training.activations import hidden_states
from engine.training.losses import soft_cross_entropy
from engine.training.packing import IGNORED
from tests.engine.drafters.heads.chimera.parts import network_of


def test_the_first_c_comes_to_resemble_the_hidden_state_that_it_stands_in_for() -> None:
    network, ids, hidden = taught()
    before = resemblance(network, ids, hidden)
    losses_of(network, ids, hidden, num_steps=40, lr=3e-3)
    assert resemblance(network, ids, hidden) > before + 0.1


def test_the_fitted_start_foresees_more_than_an_untrained_one() -> None:
    network, ids, hidden = taught()

    def agreement() -> list[float]:
        wanted = torch.nn.functional.linear(hidden, network.output).argmax(dim=-1)
        scores = enumerate(network.scores(ids, hidden), start=1)
        return [(s.argmax(dim=-1) == wanted[:, k : k + s.shape[1]]).float().mean().item() for k, s in scores]

    before = agreement()
    network.fit(ids, hidden)
    assert all(after > share + 0.2 for after, share in zip(agreement(), before, strict=True))


def taught() -> tuple[training.Chimera, Tensor, Tensor]:
    """An untrained network, and a tiny target's states of text that repeats."""
    target = tiny("llama").model
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 12, (6, 8), generator=generator).repeat(1, 5)
    torch.manual_seed(2)
    weights = find_weights(Target(tiny("llama")), "chimera", str(random_weights("chimera", 64, VOCAB_SIZE)))
    return network_of(weights, target).requires_grad_(True), ids, stock_hidden(ids)


def stock_hidden(ids: Tensor) -> Tensor:
    from toys import stock

    return hidden_states(stock("llama"), ids).float()


def resemblance(network: training.Chimera, ids: Tensor, hidden: Tensor) -> float:
    """Mean cosine of c at a place and h of the next."""
    places = torch.arange(30).expand(len(ids), -1)
    first = next(network.steps(ids, hidden, places, places))
    wanted = hidden[:, 1:31]
    return torch.nn.functional.cosine_similarity(first.encoded, wanted, dim=-1).mean().item()


def test_a_later_step_sees_its_own_earlier_steps_and_no_other_places() -> None:
    network, ids, hidden = taught()
    network.load_state_dict(
        {
            name: torch.randn(tensor.shape, generator=torch.Generator().manual_seed(i)) * 0.2
            for i, (name, tensor) in enumerate(network.named_parameters())
        },
        strict=False,
    )
    places, both = torch.tensor([[3, 17]]).expand(len(ids), -1), torch.tensor([[0, 1]]).expand(len(ids), -1)
    found = [step.logits for step in network.steps(ids, hidden, places, both)]
    alone = [step.logits for step in network.steps(ids, hidden, places[:, 1:], both[:, :1])]
    for two, one in zip(found, alone, strict=True):
        torch.testing.assert_close(two[:, 1:], one)
    changed = ids.clone()
    changed[:, 3 + 2] = (changed[:, 3 + 2] + 1) % 12
    again = [step.logits for step in network.steps(changed, hidden, places[:, :1], both[:, :1])]
    torch.testing.assert_close(again[0], found[0][:, :1])
    # The fourth step's own three tokens are those behind the changed one and two more: it sees the second step's.
    again_fed = changed[:, 3 + 3 : 3 + 5]
    assert torch.equal(again_fed, ids[:, 3 + 3 : 3 + 5])
    assert not torch.allclose(again[3], found[3][:, :1], atol=1e-4)


def test_the_soft_loss_and_its_gradient_are_those_of_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 5, 7, generator=generator, requires_grad=True)
    probs = torch.randn(2, 5, 7, generator=generator).softmax(dim=-1)
    labels = torch.randint(0, 7, (2, 5), generator=generator)
    labels[0, 2:] = IGNORED
    kept = labels != IGNORED
    flat = logits[kept]
    cross_entropy = torch.nn.functional.cross_entropy
    wanted = 0.7 * cross_entropy(flat, probs[kept]) + 0.3 * cross_entropy(flat, labels[kept])
    given = soft_cross_entropy(logits, probs, labels, 0.3)
    assert given.item() == pytest.approx(wanted.item(), rel=1e-5)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (given, wanted)]
    torch.testing.assert_close(*gradients)


def test_text_begins_with_repeated_trigrams_everywhere_alike() -> None:
    ids = [7, 8, 9, 10]
    triples = [triple_at(ids, place) for place in range(4)]
    assert triples == [(7, 7, 7), (7, 8, 8), (7, 8, 9), (8, 9, 10)]
    assert training.trigrams(torch.tensor([ids]))[0].tolist() == [list(triple) for triple in triples]
