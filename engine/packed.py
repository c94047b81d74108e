"""All that a step asks of a device's scores, worked out there for every row, and brought here in one download.

Which rows a rule will look at depends on what it finds in them; asking row by row would have the host wait for the
device at each. So for every row there are its likeliest token or the one that the session's noise draws, the likeliest
alternatives, and what its parent's row thinks of the row's own token. What else is asked has to be worked out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config import GenerationConfig
from engine.noise import Noise
from engine.runtime import crossings
from engine.sampling import Contexts, displayed, penalised
from engine.tree import DraftTree

_NUM_FIRST = 4
"""Numbers of a row before its alternatives: its highest score, a token, the chances of that and of the row's own."""


@dataclass(frozen=True)
class Step:
    """What is known of a step before its rows are looked at."""

    tree: DraftTree
    noise: Noise
    position: int
    """Of the token behind the root."""
    num_alternatives: int
    """0 where nothing is to be told."""


class Packed:
    """A pass's rows (n + 1, v) as a step needs them."""

    def __init__(self, logits: Tensor, config: GenerationConfig, contexts: Contexts | None, step: Step) -> None:
        self._tree, self._num = step.tree, min(step.num_alternatives, logits.shape[1])
        found = _numbers(logits, config, contexts, step, self._num)
        self._rows: list[list[float]] = found.double().tolist()  # whole numbers below 2⁵³ are exact

    def highest(self, row: int) -> float:
        """The highest score of a row."""
        return self._rows[row][0]

    def token(self, row: int) -> int:
        """What greedy decoding chooses behind a row, or the session's noise draws there."""
        return int(self._rows[row][1])

    def chance(self, row: int, token: int) -> float | None:
        """The probability of a token in its row, as displayed; None where it is not among what was worked out."""
        if not self._num:
            return None
        if token == self.token(row):
            return self._rows[row][2]
        child = next((node for node in self._tree.children[row] if self._tree.tokens[node] == token), None)
        return None if child is None else self._rows[child + 1][3]

    def best(self, row: int, num: int) -> list[tuple[int, float]] | None:
        """The likeliest tokens of a row with their probabilities, the best first; None where more is asked."""
        if num > self._num:
            return None
        ids, probs = self._rows[row][_NUM_FIRST : _NUM_FIRST + num], self._rows[row][_NUM_FIRST + self._num :][:num]
        return [(int(token), prob) for token, prob in zip(ids, probs, strict=True) if prob > 0]


def _numbers(
    logits: Tensor, config: GenerationConfig, contexts: Contexts | None, step: Step, num_alternatives: int
) -> Tensor:
    """(n + 1, 4 + 2 k) on the device."""
    scores = penalised(logits, config, contexts)
    highest, tokens = scores.max(dim=1)
    if config.is_greedy and not num_alternatives:
        return torch.stack((highest.double(), tokens.double()), dim=1)
    probs = displayed(logits, config, contexts)
    if not config.is_greedy:
        tokens = (probs / _waits(probs, step)).argmax(dim=1)
    own = [0, *step.tree.tokens], [0, *(parent + 1 for parent in step.tree.parents)]
    own_tokens, parents = crossings.upload(torch.tensor(own), probs.device)
    best = scores.topk(num_alternatives, dim=1).indices
    first = (highest, tokens, probs.gather(1, tokens[:, None])[:, 0], probs[parents, own_tokens])
    return torch.cat((*(part.double()[:, None] for part in first), best.double(), probs.gather(1, best)), dim=1)


def _waits(probs: Tensor, step: Step) -> Tensor:
    """The noise (n + 1, v) of what follows each row."""
    depths: Sequence[int] = (0, *step.tree.depths)
    places = range(step.position, step.position + max(depths) + 1)
    waits = torch.stack([step.noise.waits(place, probs.shape[1], device=probs.device) for place in places])
    return waits.index_select(0, crossings.upload(torch.tensor(depths), probs.device))
