"""What a step asks of a device's scores, in one download: the same that row by row gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from engine.config import GenerationConfig
from engine.distributions import Distributions, TokensBefore
from engine.errors import RunFailed
from engine.noise import Noise
from engine.packed import Packed, Step
from engine.tree import DraftTree

TREE = DraftTree((3, 1, 4, 1, 5), (-1, -1, 0, 2, 2))
BEFORE = TokensBefore(torch.tensor([2, 7]).numpy(), TREE)
CONFIGS = {
    "greedy": GenerationConfig(),
    "penalised": GenerationConfig(repetition_penalty=1.7),
    "cut": GenerationConfig(temperature=0.7, top_k=20, top_p=0.9),
    "cut and penalised": GenerationConfig(temperature=1.3, repetition_penalty=0.6, top_p=0.5),
}
POSITION = 40
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


class OfADevice(Distributions):
    """As another device's rows are asked."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._is_on_cpu = self._is_compiled = False


def scores() -> torch.Tensor:
    return 3 * torch.randn(6, 100, generator=torch.Generator().manual_seed(1))


def both(config: GenerationConfig, num_alternatives: int = 5) -> tuple[Distributions, Distributions]:
    step = Step(TREE, Noise(config.seed), POSITION, num_alternatives)
    return OfADevice(scores(), config, BEFORE, step), OfADevice(scores(), config, BEFORE)


def tokens_of(target: Distributions, noise: Noise) -> list[int]:
    places = [POSITION, *(POSITION + depth for depth in TREE.depths)]
    if target.config.is_greedy:
        return [target.likeliest(row) for row in range(6)]
    return [target.drawn(row, noise, place) for row, place in enumerate(places)]


@every_config
@pytest.mark.parametrize("num_alternatives", [0, 5])
def test_tokens_are_those_of_row_by_row(config: GenerationConfig, num_alternatives: int) -> None:
    packed, plain = both(config, num_alternatives)
    assert tokens_of(packed, Noise(config.seed)) == tokens_of(plain, Noise(config.seed))


@every_config
def test_what_is_told_is_what_row_by_row_tells(config: GenerationConfig) -> None:
    packed, plain = both(config)
    emitted = tokens_of(plain, Noise(config.seed))
    parents, path = [parent + 1 for parent in TREE.parents], [0, 1, 3]
    asked: tuple[Sequence[int], ...] = ([*parents, *path], [*TREE.tokens, *(emitted[row] for row in path)], path)
    found, wanted = packed.told(*asked, 5), plain.told(*asked, 5)
    assert found[0] == pytest.approx(wanted[0])
    for ranks, others in zip(found[1], wanted[1], strict=True):
        assert [token for token, _ in ranks] == [token for token, _ in others]
        assert [prob for _, prob in ranks] == pytest.approx([prob for _, prob in others])


def test_what_was_not_worked_out_is_asked_for_anew() -> None:
    packed, plain = both(CONFIGS["cut"])
    assert packed.told([2], [60], [], 5)[0] == pytest.approx(plain.told([2], [60], [], 5)[0])
    assert [len(ranks) for ranks in packed.told([], [], [2], 7)[1]] == [
        len(ranks) for ranks in plain.told([], [], [2], 7)[1]
    ]


def test_a_step_is_one_download(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, _ = both(CONFIGS["cut"])
    downloads: list[int] = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: downloads.append(1) or tolist(self))
    tokens = tokens_of(packed, Noise(0))
    packed.told([0, 0], [TREE.tokens[0], tokens[0]], [0], 5)
    assert downloads == [1]


@pytest.mark.parametrize("config", [CONFIGS["greedy"], CONFIGS["cut"]], ids=["greedy", "sampled"])
def test_a_row_that_is_not_finite_decides_nothing(config: GenerationConfig) -> None:
    logits = scores()
    logits[2] = math.nan
    target = OfADevice(logits, config, None, Step(TREE, Noise(0), POSITION, 5))
    with pytest.raises(RunFailed, match="not finite numbers"):
        target.likeliest(2) if config.is_greedy else target.drawn(2, Noise(0), POSITION + 1)
    assert target.told([2], [TREE.tokens[2]], [], 5)[0] == [None] or config.is_greedy


def test_no_more_is_packed_than_there_are_tokens() -> None:
    step = Step(DraftTree(), Noise(0), 3, 5)
    packed = Packed(torch.tensor([[0.0, 2.0, 1.0]]), GenerationConfig(), None, step)
    assert [token for token, _ in packed.best(0, 3) or []] == [1, 2, 0]
    assert packed.chance(0, 2) is None
