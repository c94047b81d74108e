"""Rows of a pass as distributions, worked out one by one, against the plain definition of all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine import distributions
from engine.config import GenerationConfig
from engine.distributions import Distributions, TokensBefore
from engine.errors import RunFailed
from engine.runtime.cpu import warping
from engine.sampling import displayed, warp
from engine.tree import DraftTree

TREE = DraftTree((3, 1, 4, 1, 5), (-1, -1, 0, 2, 2))
BEFORE = TokensBefore(torch.tensor([2, 7]).numpy(), TREE)
CONFIGS = [
    GenerationConfig(),
    GenerationConfig(repetition_penalty=1.7),
    GenerationConfig(temperature=0.7, top_k=20, top_p=0.9),
    GenerationConfig(temperature=1.3, repetition_penalty=0.6, top_p=0.5),
]


def scores(vocab_size: int = 100) -> torch.Tensor:
    return 3 * torch.randn(6, vocab_size, generator=torch.Generator().manual_seed(1))


def best(target: Distributions, rows: list[int], num: int) -> list[list[tuple[int, float]]]:
    return target.told([], [], rows, num)[1]


@pytest.fixture(params=["cpu", "another device"])
def made(request: pytest.FixtureRequest) -> type[Distributions]:
    """Both ways of working rows out; the second, meant for other devices, runs on this one too."""

    class ThroughTorch(Distributions):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._is_on_cpu = self._is_compiled = False

    return Distributions if request.param == "cpu" else ThroughTorch


@pytest.mark.parametrize("config", CONFIGS, ids=["greedy", "penalised", "cut", "cut and penalised"])
def test_rows_equal_the_plain_definition(config: GenerationConfig, made: type[Distributions]) -> None:
    logits = scores()
    target, wanted = made(logits, config, BEFORE), warp(logits, config, BEFORE)
    shown = displayed(logits, config, BEFORE)
    rows, tokens = [0, 0, 1, 3, 3, 5, 2], [3, 1, 4, 1, 5, 99, 0]
    torch.testing.assert_close(torch.tensor(target.chances(rows, tokens)), shown[rows, tokens])
    for row in range(6):
        torch.testing.assert_close(target[row], wanted[row])
        assert target.likeliest(row) == shown[row].argmax()
    top = shown[[4, 1]].topk(5)
    found = best(target, [4, 1], 5)
    for ranks, ids, probs in zip(found, top.indices.tolist(), top.values.tolist(), strict=True):
        assert [token for token, _ in ranks] == ids[: len(ranks)]
        assert [prob for _, prob in ranks] == pytest.approx([p for p in probs if p > 0])


@pytest.mark.parametrize("config", CONFIGS, ids=["greedy", "penalised", "cut", "cut and penalised"])
def test_threads_that_share_the_rows_tell_the_same_bits(
    config: GenerationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rows, tokens = Distributions(scores(), config, BEFORE), [0, 0, 1, 3, 3, 5, 2], [3, 1, 4, 1, 5, 99, 0]
    alone = target.told(rows, tokens, [4, 1, 0], 5)
    monkeypatch.setattr(warping, "_threads_for", lambda scores, num_rows: 2)
    for _ in range(20):
        assert target.told(rows, tokens, [4, 1, 0], 5) == alone


def test_what_is_told_at_once_is_what_is_told_apart(made: type[Distributions]) -> None:
    target = made(scores(), CONFIGS[2], BEFORE)
    found = target.told([3, 0, 3], [1, 2, 4], [3, 5], 4)
    assert found == (target.chances([3, 0, 3], [1, 2, 4]), best(target, [3, 5], 4))
    assert target.told([1], [2], [], 4) == (target.chances([1], [2]), [])


def test_there_are_no_more_alternatives_than_tokens_with_a_probability(made: type[Distributions]) -> None:
    target = made(torch.tensor([[0.0, 3.0, 2.0]]), GenerationConfig(temperature=1, top_k=2))
    assert [token for token, _ in best(target, [0], 5)[0]] == [1, 2]
    assert target.width == 3
    assert target.chances([], []) == []


def test_what_stands_before_a_row_is_the_context_and_its_own_path() -> None:
    assert [list(BEFORE[row]) for row in range(len(BEFORE))] == [
        [2, 7], [2, 7, 3], [2, 7, 1], [2, 7, 3, 4], [2, 7, 3, 4, 1], [2, 7, 3, 4, 5]
    ]  # fmt: skip


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[2]], ids=["greedy", "sampled"])
def test_a_row_that_is_not_finite_decides_nothing(
    bad: float, config: GenerationConfig, made: type[Distributions]
) -> None:
    logits = scores()
    logits[2, :] = bad
    logits[3, 50] = bad
    target = made(logits, config)
    rows = [2, 3] if bad != -torch.inf else [2]
    for row in rows:
        with pytest.raises(RunFailed, match="not finite numbers"):
            target.likeliest(row)
        with pytest.raises(RunFailed, match="not finite numbers"):
            target[row]
    assert target.chances([2, 0], [1, 1])[0] is None
    assert target.chances([2, 0], [1, 1])[1] is not None
    assert target.likeliest(0) == logits[0].argmax()


def test_only_rows_that_are_asked_for_are_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(logits: torch.Tensor, *rest: Any) -> torch.Tensor:
        made.append(len(logits))
        return warp(logits, *rest)

    monkeypatch.setattr(distributions, "warp", counted)
    target = Distributions(scores(), GenerationConfig(temperature=1))
    target[3], target[0]
    assert made == [1, 1]
