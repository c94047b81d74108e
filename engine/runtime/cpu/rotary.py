"""Cosines and sines of positions, made as far as a session comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from engine.runtime.cpu.rows import Floats

_FIRST = 512


class RotaryTables:
    """A model's rotary embedding by position, (p, half of a head's dimensions) each."""

    def __init__(self, model: PreTrainedModel) -> None:
        rotary: Any = model.get_decoder().rotary_emb
        self._frequencies = rotary.inv_freq.detach().float().cpu().numpy()
        self._scaling = np.float32(getattr(rotary, "attention_scaling", 1.0))
        self._cos = self._sin = np.zeros((0, len(self._frequencies)), np.float32)

    def at(self, positions: Sequence[int]) -> tuple[Floats, Floats]:
        """Cosines and sines of rows at these positions."""
        needed = max(positions) + 1
        if needed > len(self._cos):
            self._make(max(needed, 2 * len(self._cos), _FIRST))
        if len(positions) == 1:
            place = positions[0]
            return self._cos[place : place + 1], self._sin[place : place + 1]
        index = np.asarray(positions)
        return self._cos[index], self._sin[index]

    def _make(self, num_positions: int) -> None:
        # Angles in float32 as transformers makes them; their cosines rounded from float64, alike on every processor.
        angles = np.arange(num_positions, dtype=np.float32)[:, None] * self._frequencies
        self._cos = np.cos(angles.astype(np.float64)).astype(np.float32) * self._scaling
        self._sin = np.sin(angles.astype(np.float64)).astype(np.float32) * self._scaling
