"""The drafter around a trained network: its weights, the last hidden state, as much of a shape as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from engine.drafters.base import Context, Drafter, Needs
from engine.drafters.budget import MeasuredBudget
from engine.drafters.heads._layers import why_called
from engine.drafters.heads._weights import find_weights, kinship, missing_reason
from engine.drafters.shapes import MAX_NODES, Shape
from engine.options import option
from engine.runtime import crossings

if TYPE_CHECKING:
    from engine.target import Scored, Target
    from engine.verify import Verdict

T = TypeVar("T")


@dataclass(frozen=True)
class TrainedOptions:
    """Which weights, and how much they draft. Methods add `depth` and `top_k`, in their own words."""

    weights: str = option(
        "auto", "Weights: the target's own (auto), a folder, or a hub id.", kind="weights", words=("auto",)
    )
    budget: int = option(0, "Most nodes to draft; 0 fits this machine.", low=0, high=64, unit="nodes")


class TrainedDrafter(Drafter):
    """Drafts with a network that was trained for its target; keeps the hidden state that produced the root."""

    needs = Needs(weights=True, hidden_layers=(-1,))
    Options = TrainedOptions
    options: Any

    def __init__(self, options: Any, target: Target) -> None:
        """Raises BadInput where there are no weights, or another target's."""
        super().__init__(options, target)
        self.weights = find_weights(target, self.name, options.weights)
        reason = why_called(target.loaded)
        eager = f"Drafts are launched kernel by kernel, because {reason}." if reason else ""
        self.caveat = " ".join(filter(None, (kinship(self.weights, target), eager)))
        self.max_context = target.max_context
        self._budget = MeasuredBudget()
        """Takes all that is offered, until a member gives it costs to weigh."""
        self._state: Tensor | None = None
        """(1, h) behind the last norm; None before any was computed."""

    @classmethod
    def unavailable(cls, target: Target | None = None) -> str | None:
        return missing_reason(target, cls.name)

    def start(self, context: Context) -> None:
        super().start(context)
        self._state = context.prompt_hidden[0][-1:] if context.prompt_hidden else None

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        assert scored.hidden is not None
        row = verdict.path[-1] + 1 if verdict.path else 0
        self._state = scored.hidden[0][row : row + 1]
        self._budget.learn(self.context.tree, verdict.path)

    def _most_tokens(self, context: Context) -> int:
        """That the session's text can have."""
        return min(self.max_context, len(context.ids) + context.config.max_new_tokens)

    def _shared(self, target: Target, make: Callable[..., T], *settings: Any) -> T:
        """What `make(weights, loaded, *settings)` gives, made once for all sessions of a target. Raises BadInput."""
        key = (make, self.weights, *settings)
        return target.loaded.keep(key, lambda: make(self.weights, target.loaded, *settings))

    def _asked(self, shape: Shape, target: Target, num_steps: int = MAX_NODES) -> Shape:
        """A shape as large, deep and wide as options ask, of at most so many steps and of no more ranks than tokens."""
        num_tokens = target.loaded.model.get_output_embeddings().out_features
        top_k = min(self.options.top_k or MAX_NODES, num_tokens)
        return shape.limited(self.options.budget or MAX_NODES, min(self.options.depth or num_steps, num_steps), top_k)


class Tapped(TrainedDrafter):
    """Drafts from the target's states of several layers; keeps those that were verified until they are read."""

    def __init__(self, options: Any, target: Target) -> None:
        super().__init__(options, target)
        self._hidden: Tensor | None = None
        """(m, n · h) of the places behind those that were read; None where there are none."""

    def start(self, context: Context) -> None:
        super().start(context)
        self._hidden = _side_by_side(context.prompt_hidden) if context.prompt_hidden else None

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Verified states wait for the next draft, which may be several steps away where another drafter proposes."""
        assert scored.hidden is not None
        self._hidden = with_verified(self._hidden, scored.hidden, verdict)
        self._budget.learn(self.context.tree, verdict.path)


def with_verified(waiting: Tensor | None, hidden: Sequence[Tensor], verdict: Verdict) -> Tensor:
    """States (m, n · h) that wait to be read, and behind them a step's: the root's and those of the accepted path."""
    rows = crossings.rows(_side_by_side(hidden), [0, *(node + 1 for node in verdict.path)])
    return rows if waiting is None else torch.cat((waiting, rows))


def _side_by_side(hidden: Sequence[Tensor]) -> Tensor:
    """States (m, h) of several layers → (m, n · h)."""
    return hidden[0] if len(hidden) == 1 else torch.cat(tuple(hidden), dim=1)
