"""The session's noise: published vectors, the same bits however it is asked for, and its laws."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from toys import assert_fits

from engine import noise as module
from engine.noise import Noise, exponentials, threefry

ALL = 0xFFFFFFFF
VECTORS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((ALL, ALL), (ALL, ALL), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]
"""Key, counter and result of Threefry-2x32-20: the known answers that Random123 comes with."""
SEEDS = (0, 1, -1, 2**53, 2**64, 2**64 + 1, -(2**64), 10**5000)


# The same bits everywhere


@pytest.mark.parametrize(("key", "counter", "wanted"), VECTORS)
def test_the_generator_gives_the_published_answers(
    key: tuple[int, int], counter: tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert threefry(key, *counter) == wanted
    x, y = threefry(key, torch.tensor([counter[0]] * 3), torch.tensor([[counter[1]]] * 2))
    assert (x.unique().tolist(), y.unique().tolist()) == ([wanted[0]], [wanted[1]])
    assert x.shape == y.shape == (2, 3)


def test_the_noise_of_a_seed_is_what_it_was() -> None:
    """What changes these numbers changes the text of every seed."""
    found = Noise(7).of((0, 1000), torch.tensor([0, 1, 151_935]))
    assert [[value.hex() for value in row] for row in found.tolist()] == [
        ["0x1.4b6bd40000000p+0", "0x1.607c9a0000000p-1", "0x1.a1e5e80000000p-4"],
        ["0x1.3514cc0000000p-2", "0x1.4a0e4c0000000p-3", "0x1.26e09a0000000p-5"],
    ]
    assert list(itertools.islice(Noise(7).uniforms(5, "acceptance"), 2)) == [0.8575629654423435, 0.7824647445194349]


@pytest.mark.parametrize("num_ids", [1, 1023, 1025, 3000])
def test_compiled_noise_equals_the_tensors_bit_for_bit(num_ids: int) -> None:
    rng = torch.Generator().manual_seed(num_ids)
    ids = torch.randint(2**31, (num_ids,), generator=rng)
    places = [0, 1, 77, 2**31 - 1]
    for seed in (3, -(2**70)):
        noise = Noise(seed)
        words = threefry(noise._key("target"), ids, torch.tensor(places)[:, None])
        assert torch.equal(noise.of(places, ids), exponentials(*words))


def test_a_machine_without_a_compiler_makes_the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.arange(500)
    compiled = Noise(3).of((4, 5), ids)
    monkeypatch.setattr(module, "runs_compiled", lambda device: False)
    assert torch.equal(Noise(3).of((4, 5), ids), compiled)


def test_noise_of_some_ids_of_several_places_and_of_wider_tables_is_the_same_noise() -> None:
    noise, ids = Noise(5), torch.tensor([0, 3, 8, 99])
    whole = torch.stack([noise.waits(place, 100) for place in (6, 2)])
    assert torch.equal(Noise(5).of((6, 2), ids), whole[:, ids])
    assert torch.equal(Noise(5).waits(6, 130)[:100], whole[0])
    assert torch.equal(noise.waits(6, 130)[:100], whole[0]), "the narrower one was remembered"
    assert torch.equal(noise.waits(6, 40), whole[0, :40])


def test_it_depends_on_seed_stream_and_place_and_not_on_the_order_of_asking() -> None:
    first, second = Noise(7), Noise(7)
    forwards = [first.waits(place, 5) for place in range(6)]
    backwards = [second.waits(place, 5) for place in reversed(range(6))]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    assert not torch.equal(Noise(7).waits(0, 5, "another"), forwards[0])
    assert len({tuple(waits.tolist()) for waits in forwards}) == 6


def test_any_whole_number_is_a_seed_of_its_own() -> None:
    found = {tuple(Noise(seed).waits(0, 3).tolist()) for seed in SEEDS}
    assert len(found) == len(SEEDS)


def test_noise_is_made_once_while_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    noise, made = Noise(3), list[int]()
    of = noise.of
    monkeypatch.setattr(noise, "of", lambda places, *more: (made.extend(places), of(places, *more))[1])
    first = noise.waits(0, 7).clone()
    noise.waits(0, 7)
    noise.waits(0, 5)
    noise.waits(0, 7, "another")
    assert made == [0, 0]
    for place in range(1, 50):
        noise.waits(place, 7)
    assert torch.equal(noise.waits(0, 7), first)
    assert made == [0, 0, *range(1, 50), 0]


def test_a_gpu_makes_its_own_noise_for_several_places_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    noise, made = Noise(3), list[int]()
    of = noise.of
    monkeypatch.setattr(noise, "of", lambda places, *more: (made.extend(places), of(places, *more))[1])
    with FakeTensorMode(allow_non_fake_inputs=True):
        for place in (5, 6, 12, 5):
            waits = noise.waits(place, 1000, device="cuda")
            assert (waits.device.type, waits.dtype, waits.shape) == ("cuda", torch.float32, (1000,))
    assert made == list(range(5, 13))


def test_a_device_without_float64_gets_its_noise_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[str]()
    monkeypatch.setattr(module, "runs_compiled", lambda device: False)
    monkeypatch.setattr(module, "exponentials", lambda x, y: (made.append(x.device.type), exponentials(x, y))[1])
    with FakeTensorMode():
        assert Noise(3).waits(5, 10, device="mps").device.type == "mps"
    assert made == ["cpu"]


# Its laws


def test_exponentials_are_minus_the_logarithm_from_the_least_uniform_to_the_greatest() -> None:
    words = torch.tensor([0, 1, 2**10, 0xB504F333, 0xB504F334, 0xFFFFF000, ALL])
    x, y = (part.flatten() for part in torch.meshgrid(words, words, indexing="ij"))
    odd = 2 * (x << 20 | y >> 12) + 1
    found = exponentials(x, y)
    torch.testing.assert_close(
        found, -torch.log1p((odd - 2**53).double() * 2.0**-53), rtol=2e-7, atol=0, check_dtype=False
    )
    assert found.max().item() == pytest.approx(53 * math.log(2))
    assert found.min().item() == pytest.approx(2.0**-53)


def test_waits_are_exponential_and_those_of_neighbours_have_nothing_to_do_with_one_another() -> None:
    """Eighths of the exponential law, of pairs that are neighbours in id, place, seed and stream."""
    ids = torch.arange(256)
    noise = Noise(1)
    grid = noise.of(range(257), ids)
    pairs = {
        "ids": (grid[:, :-1], grid[:, 1:]),
        "places": (grid[:-1], grid[1:]),
        "id and place exchanged": (grid[:256], grid[:256].T),
        "seeds": (grid, Noise(2).of(range(257), ids)),
        "opposite seeds": (grid, Noise(-1).of(range(257), ids)),
        "streams": (grid, noise.of(range(257), ids, "targets")),
    }
    for first, second in pairs.values():
        cells = 8 * eighths(first) + eighths(second)
        assert_fits(torch.bincount(cells.flatten(), minlength=64), torch.full((64,), 1 / 64))


def eighths(waits: torch.Tensor) -> torch.Tensor:
    return (8 * (-waits.double()).exp()).long().clamp(max=7)


def test_every_bit_of_a_uniform_is_as_often_set_as_not() -> None:
    x, y = threefry(Noise(9)._key("target"), torch.arange(20_000), torch.tensor(3))
    for word, bit in itertools.product((x, y), range(32)):
        num = int((word >> bit & 1).sum())
        assert_fits(torch.tensor([num, 20_000 - num]), torch.tensor([0.5, 0.5]))


def test_uniforms_lie_strictly_between_0_and_1_and_fill_the_space_evenly() -> None:
    assert module._numerator(0, 0) * 2.0**-53 == 2.0**-53
    assert module._numerator(ALL, ALL) * 2.0**-53 == 1 - 2.0**-53
    found = torch.tensor(list(itertools.islice(Noise(2).uniforms(4, "acceptance"), 4000)))
    assert_fits(torch.histc(found, 16, 0, 1), torch.full((16,), 1 / 16))


def test_uniforms_of_other_places_streams_and_seeds_are_others() -> None:
    asked = itertools.product(range(4), range(50), ("a", "b", "c"))
    assert len({next(Noise(seed).uniforms(place, stream)) for seed, place, stream in asked}) == 600


def test_picks_are_tokens_of_the_text_each_place_as_likely() -> None:
    found = list(itertools.islice(Noise(2).picks([7, 5, 5, 9], 3, "guesses"), 2000))
    counts = torch.tensor([found.count(token) for token in (7, 5, 9)])
    assert_fits(counts, torch.tensor([0.25, 0.5, 0.25]))


# Draws


@pytest.mark.parametrize("is_compiled", [True, False])
def test_draws_follow_the_distribution_at_neighbouring_places_and_seeds(
    is_compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_compiled:
        monkeypatch.setattr(module, "runs_compiled", lambda device: False)
    probs = torch.tensor([0.5, 0.3, 0.0, 0.15, 0.05])
    num = 2000 if is_compiled else 200
    noise, pairs = Noise(3), {"places": torch.zeros(5, 5), "seeds": torch.zeros(5, 5)}
    for before, after in itertools.pairwise([noise.draw(probs, place) for place in range(num)]):
        pairs["places"][before, after] += 1
    tokens = [Noise(seed).draw(probs, 11) for seed in range(num)]
    for before, after in zip(tokens[::2], tokens[1::2], strict=True):
        pairs["seeds"][before, after] += 1
    for counts in pairs.values():
        assert_fits(counts, torch.outer(probs, probs))


def test_weights_need_not_add_up_to_1() -> None:
    weights, noise = torch.tensor([3.0, 0.0, 1.0, 6.0], dtype=torch.float64), Noise(0)
    counts = torch.bincount(torch.tensor([noise.draw(weights, place) for place in range(1000)]), minlength=4)
    assert_fits(counts, weights / 10)


def test_a_draw_from_few_of_many_tokens_makes_the_noise_of_those_alone_and_is_the_same_draw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = torch.zeros(1000)
    few[[3, 500, 998]] = torch.tensor([0.2, 0.5, 0.3])
    wanted = [int((few / Noise(8).waits(place, 1000)).argmax()) for place in range(60)]
    noise: Any = Noise(8)
    monkeypatch.setattr(noise, "waits", None)
    assert [noise.draw(few, place) for place in range(60)] == wanted
    assert set(wanted) == {3, 500, 998}


def test_a_padded_table_gives_the_same_draws() -> None:
    probs = torch.rand(300, generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    padded = torch.nn.functional.pad(probs, (0, 84))
    for place in range(50):
        assert Noise(4).draw(probs, place) == Noise(4).draw(padded, place)


def test_gumbel_noise_is_the_same_noise_for_log_probabilities() -> None:
    probs, noise = torch.rand(50, generator=torch.Generator().manual_seed(0)).softmax(dim=0), Noise(4)
    for place in range(50):
        assert noise.draw(probs, place) == (probs.double().log() + noise.gumbel(place, 50)).argmax()
