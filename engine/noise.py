"""The session's noise, a pure function of (seed, stream, place, token id), and the draws that it stands for.

Threefry-2x32-20 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) makes 64 random bits of a key,
which is seed and stream, and a counter, which is token id and place. So noise can be asked for in any order, for
several places at once, for some ids alone and for a table of any width, and one id's noise is the same each time.

A draw is a race: token x arrives after a wait of E_x ÷ p_x, E_x exponential noise, and the first to arrive is drawn
from p exactly. -ln E is Gumbel noise, and the first of the race the arg-max of log p + Gumbel (docs/decisions/0003);
but the race needs one logarithm in place of three, and that one is made here of whole numbers and of IEEE sums,
products and quotients in one order. So noise has the same bits on every device and build, and a draw is the same
wherever the distribution is (docs/decisions/0010).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.runtime import crossings
from engine.runtime.compiled import runs_compiled

Key = tuple[int, int]
"""Two words of 32 bits."""
Word = TypeVar("Word", int, Tensor)
"""A whole number below 2³², or an int64 tensor of them."""

TARGET = "target"
"""The stream of the target's own draws. Any other text names a stream of its own."""

_WORD = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_ROOT_OF_HALF = 0x3FE6A09E667F3BCD
"""Bits of √½ in float64: what lies from it up to √2 has a logarithm near 0."""
_SERIES = tuple(1 / n for n in (11, 9, 7, 5, 3, 1))
"""artanh(s) ÷ s in powers of s², highest first: on |s| ≤ 0.172 to 5e-11."""

_NUM_REMEMBERED = 32
"""Places whose noise is kept: a drafter asks for those ahead, and so does the rule that judges its drafts."""
_PLACES_AT_ONCE = 8
"""On a GPU, where eight places take the time of one: it is spent on starting kernels."""
_FEW = 4
"""A quarter of the ids: if fewer can be drawn, it is quicker to find them and make the noise of them alone."""


def threefry(key: Key, x: Word, y: Word) -> tuple[Word, Word]:
    """Threefry-2x32-20: two random words of a counter's two, whole numbers or tensors that broadcast.

    No number grows beyond 2⁶³, so int64 without overflow is all that a device must know.
    """
    keys = (*key, key[0] ^ key[1] ^ _PARITY)
    x, y = x + keys[0], (y + keys[1]) & _WORD
    for group in range(5):
        for left in _ROTATIONS[group % 2]:
            x = x + y
            y = (((y << left) | (y >> (32 - left))) ^ x) & _WORD
        x = x + keys[(group + 1) % 3]
        y = (y + keys[(group + 2) % 3] + group + 1) & _WORD
    return x & _WORD, y


def _numerator(x: Word, y: Word) -> Word:
    """An odd number below 2⁵³ of two random words' first 52 bits: over 2⁵³ it is uniform, exact, and never 0 or 1."""
    return 2 * ((x << 20) | (y >> 12)) + 1


def exponentials(x: Tensor, y: Tensor) -> Tensor:
    """Exponential noise float32 of random words: -ln u of a uniform u, between 1e-16 and 37."""
    bits = (_numerator(x, y).double() * 2.0**-53).view(torch.int64)
    exponent = (bits - _ROOT_OF_HALF) >> 52
    mantissa = (bits - (exponent << 52)).view(torch.float64)
    s = (mantissa - 1) / (mantissa + 1)
    square = s * s
    series = torch.full_like(s, _SERIES[0])
    for coefficient in _SERIES[1:]:
        series = series * square + coefficient
    return -(exponent.double() * math.log(2) + (s + s) * series).float()


class Noise:
    """The session's random numbers. A seed is any whole number, a stream any text, a place an absolute position."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._kept: dict[tuple[str, int, torch.device], Tensor] = {}

    def draw(self, weights: Tensor, place: int, stream: str = TARGET) -> int:
        """The token that this place's noise draws from non-negative weights (v,), which need not add up to 1."""
        if weights.device.type != "cpu":
            return int((weights / self.waits(place, len(weights), stream, weights.device)).argmax())
        shares = weights.numpy()
        can_be_drawn = shares > 0
        if not 0 < _FEW * np.count_nonzero(can_be_drawn) <= len(shares):
            return int((shares / self.waits(place, len(shares), stream).numpy()).argmax())
        ids = np.flatnonzero(can_be_drawn)
        return int(ids[(shares[ids] / self.of((place,), torch.from_numpy(ids), stream)[0].numpy()).argmax()])

    def draws(self, weights: Tensor, places: Sequence[int], stream: str = TARGET) -> list[int]:
        """`draw` of rows (n, v), each with the noise of its place; another device is waited for once."""
        if weights.device.type == "cpu":
            return [self.draw(row, place, stream) for row, place in zip(weights, places, strict=True)]
        size, device = weights.shape[1], weights.device
        waits = torch.stack([self.waits(place, size, stream, device) for place in places])
        found: list[int] = (weights / waits).argmax(dim=1).tolist()
        return found

    def first(self, weights: Tensor, most: int, place: int, stream: str = TARGET) -> list[int]:
        """The first tokens of this place's race, at most so many: draws from weights (v,) without replacement."""
        shares = weights / self.waits(place, len(weights), stream, weights.device)
        found = shares.topk(min(most, len(shares)))
        tokens, values = (part.tolist() for part in crossings.download(found.indices, found.values))
        return [int(token) for token, share in zip(tokens, values, strict=True) if share > 0]

    def waits(self, place: int, num_tokens: int, stream: str = TARGET, device: torch.device | str = "cpu") -> Tensor:
        """Exponential noise (v,) float32 of the first ids: the least wait over probability is the draw."""
        device = torch.device(device)
        key = stream, place, device
        if key not in self._kept or len(self._kept[key]) < num_tokens:
            places = range(place, place + (1 if device.type == "cpu" else _PLACES_AT_ONCE))
            found = self.of(places, torch.arange(num_tokens, device=device), stream)
            for other, waits in zip(places, found, strict=True):
                self._keep((stream, other, device), waits)
        return self._kept[key].narrow(0, 0, num_tokens)

    def _keep(self, key: tuple[str, int, torch.device], waits: Tensor) -> None:
        self._kept.pop(key, None)
        if len(self._kept) >= _NUM_REMEMBERED:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = waits

    def of(self, places: Sequence[int], ids: Tensor, stream: str = TARGET) -> Tensor:
        """Exponential noise (places, ids) float32 of some ids (n,) int64, on their device."""
        device = ids.device
        if device.type == "mps":  # which has no float64
            return self.of(places, ids.cpu(), stream).to(device)
        if not runs_compiled(device):
            rows = crossings.upload(torch.tensor(list(places)), device).unsqueeze(1)
            return exponentials(*threefry(self._key(stream), ids, rows))
        from engine.runtime.cpu.waits import fill

        found = torch.empty(len(places), len(ids))
        for place, row in zip(places, found.numpy(), strict=True):
            fill(*self._key(stream), place, ids.numpy(), row)
        return found

    def gumbel(self, place: int, num_tokens: int) -> Tensor:
        """The same as Gumbel noise (v,) float64, to be added to log-probabilities; its last bits are the build's."""
        return -self.waits(place, num_tokens).double().log()

    def uniforms(self, place: int, stream: str) -> Iterator[float]:
        """Numbers uniform on (0, 1), never 0 or 1, without end; not of a stream that draws too."""
        key = self._key(stream)
        for number in itertools.count():
            yield _numerator(*threefry(key, number, place)) * 2.0**-53

    def picks(self, ids: Sequence[int], place: int, stream: str) -> Iterator[int]:
        """Tokens of a text, each place of it as likely as any other, without end."""
        return (ids[int(uniform * len(ids))] for uniform in self.uniforms(place, stream))

    def _key(self, stream: str) -> Key:
        digest = hashlib.blake2b(f"{self.seed:x} {stream}".encode(), digest_size=8).digest()
        first, second = struct.unpack("<2I", digest)
        return first, second
