"""Medusa's heads in training (arXiv 2401.10774, Section 2.2.1: the target frozen).

Head k is residual blocks y + SiLU(W y + b) on the target's last hidden state and an output layer; it foresees the
token k + 2 places on, knowing none of those between. The loss weighs head k with 0.8^k. Trained here is the
published code's second version, whose heads score with the target's own output layer: at a vocabulary
of 4,096 it is a sixth of the size, and its output layers cannot overfit few texts.

Our choices: first the corpus, then text that the target wrote, where the authors take either;
W begins at zero and b too, so that an untrained head is the target's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from engine.training.head_training import train_heads
from engine.training.heads import Heads
from engine.training.material import Material
from engine.training.recipes import Recipe
from engine.training.runs import Order

NUM_HEADS, NUM_LAYERS = 4, 4
HEAD_DECAY = 0.8


class MedusaHeads(Heads):
    """`num_heads` heads of `num_layers` residual blocks; `output` is the target's own output layer."""

    is_distilled = True
    has_context = False
    output: Tensor

    def __init__(self, hidden_size: int, num_heads: int, num_layers: int, output: Tensor | None) -> None:
        super().__init__()
        self.num_heads, self.num_layers, self.hidden_size = num_heads, num_layers, hidden_size
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(num_layers)) for _ in range(num_heads)
        )
        for parameter in self.blocks.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("output", output, persistent=False)

    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """Logits of each head; the tokens are not looked at."""
        num_places = ids.shape[1] - 1 - self.num_heads
        for blocks in self.blocks:
            y = hidden[:, :num_places]
            for linear in blocks:  # type: ignore[attr-defined]
                y = y + nn.functional.silu(linear(y))
            yield nn.functional.linear(y, self.output.to(y.dtype))

    def head_weight(self, head: int) -> float:
        """Later heads count less."""
        return HEAD_DECAY**head

    def tensors(self) -> dict[str, Tensor]:
        """The published names: `{head}.{block}.linear.weight` and `.bias`."""
        found: dict[str, Tensor] = {}
        for name, tensor in self.blocks.state_dict(keep_vars=True).items():
            block, _, kind = name.rpartition(".")
            found[f"{block}.linear.{kind}"] = tensor
        return found

    def config(self) -> dict[str, Any]:
        """The published keys."""
        return {
            "model_type": "medusa",
            "version": "2",
            "medusa_num_heads": self.num_heads,
            "medusa_num_layers": self.num_layers,
            "hidden_size": self.hidden_size,
        }


def make(material: Material, recipe: Recipe) -> MedusaHeads:
    """Untrained heads for a target."""
    output = None if material.target is None else material.output_table
    return MedusaHeads(material.hidden_size, NUM_HEADS, NUM_LAYERS, output)


def train(order: Order) -> None:
    """Train and write the weights folder."""
    train_heads(order, "medusa", make)
