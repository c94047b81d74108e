"""Targets and distributions whose numbers are a table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.events import Memory
from engine.noise import Noise
from engine.runtime.runner import Tell
from engine.target import Pending, Scored, Target
from engine.tree import DraftTree
from toys.letters import loaded, stand_in


class Table:
    """Distributions over a tiny vocabulary that depend on the last two tokens; reproducible by seed."""

    def __init__(self, vocab_size: int, seed: int = 0, sharpness: float = 1.5) -> None:
        self.vocab_size = vocab_size
        generator = torch.Generator().manual_seed(seed)
        shape = (vocab_size + 1, vocab_size + 1, vocab_size)
        self.logits = sharpness * torch.randn(shape, generator=generator, dtype=torch.float64)

    def row(self, ids: Sequence[int]) -> Tensor:
        """Logits (v,) of the token that follows these."""
        before, last = [self.vocab_size, self.vocab_size, *ids][-2:]
        return self.logits[before, last]

    def probs(self, ids: Sequence[int]) -> Tensor:
        """Distribution (v,) of the token that follows these, float64."""
        return self.row(ids).softmax(dim=0)


class TableTarget(Target):
    """A target without a model: scores are read from a table."""

    def __init__(self, table: Table, max_context: int = 64, eos_id: int | None = None) -> None:
        self.loaded = loaded(stand_in(table.vocab_size, eos_id), table.vocab_size, max_context, eos_id, "table")
        self.table = table
        self.hidden_layers = ()
        self.committed: list[int] = []
        self.pending: tuple[int, DraftTree] | None = None
        self.num_passes = 0

    @property
    def kv_length(self) -> int:
        return len(self.committed)

    def memory(self, drafter: object) -> Memory:
        return Memory(0, 0, 0)

    def prefill(self, token_ids: Sequence[int], tell: Tell | None = None) -> tuple[Tensor, ...] | None:
        self.committed, self.pending = list(token_ids), None
        if tell is not None and token_ids:
            tell(torch.stack([self.row(token_ids[: end + 1]) for end in range(len(token_ids))]).float())
        return None

    def row(self, ids: Sequence[int]) -> Tensor:
        """Logits (v,) of the token that follows these."""
        return self.table.row(ids)

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        self.pending = root_id, tree
        self.num_passes += 1
        before = [*self.committed, root_id]
        paths = [[], *([tree.tokens[i] for i in tree.path_to(node)] for node in range(len(tree)))]
        return Pending(Scored(torch.stack([self.row(before + path) for path in paths]).float(), None))

    def discard(self) -> None:
        self.pending = None

    def commit(self, path: Sequence[int]) -> None:
        assert self.pending is not None
        root_id, tree = self.pending
        assert list(path) == list(tree.path_to(path[-1] if path else -1)), "a path goes from parent to child"
        self.committed += [root_id, *(tree.tokens[node] for node in path)]
        self.pending = None


class Rows:
    """Ready-made distributions (n + 1, v), as a rule asks for them."""

    def __init__(self, probs: Tensor) -> None:
        self.probs, self.asked = probs, set[int]()

    @property
    def width(self) -> int:
        return self.probs.shape[1]

    def likeliest(self, row: int) -> int:
        return int(self[row].argmax())

    def drawn(self, row: int, noise: Noise, place: int) -> int:
        return noise.draw(self[row], place)

    def __getitem__(self, row: int) -> Tensor:
        self.asked.add(row)
        return self.probs[row]
