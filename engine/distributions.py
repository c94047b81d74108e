"""What follows each row of a target pass, worked out for the rows that are asked for.

Of a draft tree with its dozens of rows a rule looks at a path, and an event at the rows that have children. On a CPU
each row is worked out alone, compiled; elsewhere through torch, several rows at once, and all that a step will ask in
one download (packed.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.noise import Noise
from engine.packed import Packed, Step
from engine.runtime.compiled import runs_compiled
from engine.sampling import Contexts, Floats, Integers, compiled_loops, displayed, for_kernel, penalised, warp
from engine.tree import DraftTree


class Distributions:
    """Logits (n, v) of a pass with the settings that make distributions of them."""

    def __init__(
        self, logits: Tensor, config: GenerationConfig, contexts: Contexts | None = None, step: Step | None = None
    ) -> None:
        """`step`: what its rule and event will ask of these rows, where that is known."""
        self.logits, self.config, self.contexts = logits.float(), config, contexts
        self._step = step
        self._is_on_cpu, self._is_compiled = logits.device.type == "cpu", runs_compiled(logits.device)
        self._likeliest: list[tuple[float, float]] = []

    @property
    def width(self) -> int:
        """Tokens that a distribution is over."""
        return self.logits.shape[1]

    def likeliest(self, row: int) -> int:
        """Arg-max of a row, ties to the lowest id. Raises RunFailed where it is not finite."""
        if self._is_on_cpu:
            scores = penalised(*self._only(row))[0].numpy()
            token = int(scores.argmax())
            highest = float(scores[token])
        elif self._packed is not None and self.config.is_greedy:
            highest, token = self._packed.highest(row), self._packed.token(row)
        else:
            highest, found = self._all_likeliest()[row]
            token = int(found)
        refuse_unless_finite(highest)
        return token

    def drawn(self, row: int, noise: Noise, place: int) -> int:
        """The token that the session's noise of a place draws behind a row. Raises RunFailed as `likeliest` does."""
        if self._packed is None or self.config.is_greedy:
            return noise.draw(self[row], place)
        refuse_unless_finite(self._packed.highest(row))
        return self._packed.token(row)

    @functools.cached_property
    def _packed(self) -> Packed | None:
        """What a step asks, brought here at once from another device than this processor."""
        if self._is_on_cpu or self._step is None:
            return None
        return Packed(self.logits, self.config, self.contexts, self._step)

    def _all_likeliest(self) -> list[tuple[float, float]]:
        """All rows at once: another device is waited for once and not for each row."""
        if not self._likeliest:
            scores = penalised(self.logits, self.config, self.contexts)
            self._likeliest = torch.stack([part.double() for part in scores.max(dim=1)], dim=1).tolist()
        return self._likeliest

    def __getitem__(self, row: int) -> Tensor:
        """Distribution (v,) of a row, as `warp` makes it. Raises RunFailed where the scores are not finite."""
        if self.config.is_greedy:
            likeliest = torch.zeros(self.width, device=self.logits.device)
            likeliest[self.likeliest(row)] = 1.0
            return likeliest
        probs = warp(*self._only(row))[0]
        refuse_unless_finite(probs[0].item())
        return probs

    def chances(self, rows: Sequence[int], tokens: Sequence[int]) -> list[float | None]:
        """The probability of each token in its row, as displayed; None where a row's scores are not finite."""
        if not rows:
            return []
        found = self._compiled_chances(rows, tokens) if self._is_compiled else self._torch_chances(rows, tokens)
        return [chance if math.isfinite(chance) else None for chance in found]

    def told(
        self, rows: Sequence[int], tokens: Sequence[int], top_rows: Sequence[int], num: int
    ) -> tuple[list[float | None], list[list[tuple[int, float]]]]:
        """`chances` of tokens in rows, and the likeliest tokens of `top_rows` with theirs, each row read once for both.

        The best first; those without a probability are left out.
        """
        if self._packed is not None and (known := self._from_packed(self._packed, rows, tokens, top_rows, num)):
            return known
        find = self._compiled_best if self._is_compiled else self._torch_best
        top = find(top_rows, min(num, self.width)) if top_rows else []
        places = [(row, token) for row, ids in zip(top_rows, top, strict=True) for token in ids]
        all_rows, all_tokens = [*rows, *(row for row, _ in places)], [*tokens, *(token for _, token in places)]
        found = self.chances(all_rows, all_tokens)
        ranked = iter(found[len(rows) :])
        pairs = [[(token, next(ranked) or 0.0) for token in ids] for ids in top]
        return found[: len(rows)], [[pair for pair in of if pair[1] > 0] for of in pairs]

    def _from_packed(
        self, packed: Packed, rows: Sequence[int], tokens: Sequence[int], top_rows: Sequence[int], num: int
    ) -> tuple[list[float | None], list[list[tuple[int, float]]]] | None:
        """As `told`, of what is here already; None where something of it is not."""
        chances = [packed.chance(row, token) for row, token in zip(rows, tokens, strict=True)]
        best = [packed.best(row, num) for row in top_rows]
        if None in chances or None in best:
            return None
        finite = [chance if chance is not None and math.isfinite(chance) else None for chance in chances]
        return finite, [ranks for ranks in best if ranks is not None]

    def _only(self, row: int) -> tuple[Tensor, GenerationConfig, Contexts | None]:
        return self.logits[row : row + 1], self.config, None if self.contexts is None else [self.contexts[row]]

    def _numbers(self) -> Floats:
        return self.logits.contiguous().numpy()

    def _compiled_chances(self, rows: Sequence[int], tokens: Sequence[int]) -> list[float]:
        order = np.argsort(rows, kind="stable")
        sorted_rows, probs = np.asarray(rows)[order], np.empty(len(rows))
        wanted = np.asarray(tokens, np.int64)[order]
        how = for_kernel(self.config, self.contexts, sorted_rows.tolist())
        compiled_loops().chances(self._numbers(), sorted_rows, *how, wanted, probs)
        found = np.empty(len(rows))
        found[order] = probs
        return found.tolist()

    def _compiled_best(self, rows: Sequence[int], num: int) -> list[list[int]]:
        tokens = np.empty((len(rows), num), np.int64)
        how = for_kernel(self.config, self.contexts, rows)
        compiled_loops().best(self._numbers(), np.asarray(rows), *how, tokens)
        found: list[list[int]] = tokens.tolist()
        return found

    def _shown(self, rows: Sequence[int]) -> Tensor:
        contexts = None if self.contexts is None else [self.contexts[row] for row in rows]
        return displayed(self.logits[list(rows)], self.config, contexts)

    def _torch_chances(self, rows: Sequence[int], tokens: Sequence[int]) -> list[float]:
        places = {row: place for place, row in enumerate(dict.fromkeys(rows))}
        found: list[float] = self._shown(list(places))[[places[row] for row in rows], list(tokens)].tolist()
        return found

    def _torch_best(self, rows: Sequence[int], num: int) -> list[list[int]]:
        contexts = None if self.contexts is None else [self.contexts[row] for row in rows]
        found: list[list[int]] = (
            penalised(self.logits[list(rows)], self.config, contexts).topk(num, dim=1).indices.tolist()
        )
        return found


def refuse_unless_finite(score: float) -> None:
    """Raises RunFailed for a highest score that nothing can be decided by."""
    if not math.isfinite(score):
        raise RunFailed(
            f"The model's scores are not finite numbers here (the highest is {score}), so no token can be chosen; "
            "try another dtype, such as fp32, or other weights."
        )


@dataclass(frozen=True)
class TokensBefore(Sequence[Integers]):
    """Token ids before each row's token: those of the context, each once, and the row's own path."""

    seen: Integers
    tree: DraftTree

    def __len__(self) -> int:
        return len(self.tree) + 1

    def __getitem__(self, row: Any) -> Any:
        path = [self.tree.tokens[node] for node in self.tree.path_to(row - 1)]
        return np.concatenate((self.seen, np.array(path, np.int64)))
