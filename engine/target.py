"""The target: the model whose distribution is the truth.

`prefill` the prompt, `score` a draft tree in one pass (`launch` it, `collect` what it gives), `commit` the surviving
path. One session at a time; `prefill` starts a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.events import Memory
from engine.facts import TargetFacts
from engine.models import LoadedModel
from engine.runtime import guards
from engine.runtime.compiled import runs_compiled
from engine.runtime.device import synchronise
from engine.runtime.extra import Foreseen
from engine.runtime.held import held_bytes
from engine.runtime.longrope import make_runner
from engine.runtime.runner import Tell
from engine.tree import DraftTree


@dataclass(frozen=True)
class Scored:
    """One target pass over root and nodes."""

    logits: Tensor
    """(n + 1, v) float32; row 0 follows the root, row i + 1 follows node i."""
    hidden: tuple[Tensor, ...] | None
    """Per asked-for layer (n + 1, h)."""
    extra: Foreseen | None = None
    """Where each extra row ends up, in the tree's order of them."""
    asked: tuple[Tensor, ...] | None = None
    """Of a pass that went on from `DraftTree.begun`: per layer that it asks for (n + 1, h), where it looks."""


@dataclass(frozen=True)
class Pending:
    """A target pass on its way. A CUDA device works at it while the caller does something else."""

    scored: Scored

    def collect(self) -> Scored:
        """What it gives: tensors that a device fills before it does what it is asked for next."""
        return self.scored


class Target:
    """A loaded model with its KV cache."""

    border: int | None = None
    """Tokens of context that no pass may begin within and reach beyond; see runtime/longrope.py."""

    def __init__(self, loaded: LoadedModel, *, is_eager: bool = False) -> None:
        """`is_eager`: through transformers' forward where a GPU has passes of its own, to compare them.

        Raises BadInput for a model that cannot be run, or is not run rightly (runtime/guards.py).
        """
        self.loaded = loaded
        """With its weights: for who reads them, such as trained heads. All others ask `facts`."""
        is_row_invariant = runs_compiled(loaded.device) and not is_eager
        how = {"is_row_invariant": is_row_invariant, "is_eager": is_eager}
        self.runner = make_runner(loaded.model, loaded.max_context, **how)
        self.border = self.runner.border
        guards.check(self.runner, loaded.name)
        self.hidden_layers: tuple[int, ...] = ()

    @property
    def facts(self) -> TargetFacts:
        """What there is to know of it without its weights."""
        return self.loaded

    @property
    def caveat(self) -> str:
        """What is to be said before a run: that its text may part from plain decoding without an error, advice."""
        return " ".join(filter(None, (self._near_tie, self.loaded.advice)))

    @property
    def _near_tie(self) -> str:
        if self.runner.is_row_invariant:
            return ""
        near_tie = (
            f"Near-tie possible: on {self.facts.device.type} the scores of {self.facts.name} depend in their last "
            "places on how many rows share a pass, so two nearly equal tokens may change places."
        )
        reason = self.runner.why_eager
        return f"{near_tie} Passes are launched kernel by kernel, because {reason}." if reason else near_tie

    def beside(self) -> Target:
        """The same model with a session of its own."""
        return Target(self.loaded)

    @property
    def kv_length(self) -> int:
        """Committed tokens in the KV cache; the root is not among them."""
        return self.runner.num_committed

    @property
    def max_context(self) -> int:
        """Most tokens of prompt and output together."""
        return self.facts.max_context

    def most_depth(self, num_tokens: int) -> int:
        """How deep a draft tree may be in a context of so many tokens, root included."""
        room = self.max_context - num_tokens - 1  # a token follows the deepest node
        if self.border is None or num_tokens > self.border:
            return room
        return min(room, self.border - num_tokens)

    def prefill(self, token_ids: Sequence[int], tell: Tell | None = None) -> tuple[Tensor, ...] | None:
        """Start a session: fill the KV cache with these tokens (all of the prompt but its last).

        Returns hidden states (t, h) of `hidden_layers`, if any; `tell` is given the tokens' logits, block by block.
        Raises ContextFull.
        """
        return self.runner.prefill(token_ids, self.hidden_layers, tell)

    def score(self, root_id: int, tree: DraftTree) -> Scored:
        """One pass over root and tree. Nothing is committed yet."""
        return self.launch(root_id, tree).collect()

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        """Begin the pass that `score` makes; it is collected before the next begins."""
        parents = (-1, *(parent + 1 for parent in tree.parents))
        if tree.begun is not None and not self.hidden_layers:
            layers = range(tree.begun.layer, self.runner.num_layers)
            asked = tree.begun.asked
            rows = self.runner.extend(tree.begun.states, parents, layers=layers, hidden_layers=asked or ())
            return Pending(Scored(rows.logits.float(), None, asked=None if asked is None else rows.hidden or ()))
        if self.runner.num_pending:
            self.discard()  # what a draft by the first layers left, where its tree is not the one that is scored
        rows = self.runner.extend(
            (root_id, *tree.tokens),
            parents,
            hidden_layers=self.hidden_layers,
            extra=tree.extra and tree.extra.in_pass,
        )
        return Pending(Scored(rows.logits.float(), rows.hidden, rows.extra))

    def commit(self, path: Sequence[int]) -> None:
        """Keep root and accepted nodes in the KV cache, drop the rest."""
        self.runner.commit((0, *(node + 1 for node in path)))

    def discard(self) -> None:
        """Drop root and nodes of the last pass: the context is as if it had not been."""
        self.runner.commit(())

    def memory(self, drafter: object) -> Memory:
        """What this session holds, and a drafter beside it; the target's own among what that holds is not its."""
        counted: set[int] = set()
        weights, kv = (held_bytes(part, counted) for part in self.runner.holds)
        return Memory(weights, held_bytes(drafter, counted, (Target, LoadedModel)), kv)

    def synchronise(self) -> None:
        """Wait for the device, so that a clock read afterwards tells the truth."""
        synchronise(self.facts.device)
