"""Chimera's trigram encoder in training, (b, t) places at once (arXiv 2402.15758 and the released code).

It makes g of three embeddings. The full-context encoder is one decoder layer (decoder_layer.py) in which g looks at the
target's last hidden states h and at earlier g, and gives c, a stand-in for the hidden state that the target has not
computed. Knows tensors; knows nothing of draft steps, losses or files.
"""

from __future__ import annotations

from torch import Tensor, nn


class TrigramEncoder(nn.Module):
    """Three embeddings side by side, one residual block at that width, down to the hidden size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * size, 3 * size)
        self.down = nn.Linear(3 * size, size, bias=False)
        # As if it were not there, to begin with.
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, embedded: Tensor) -> Tensor:
        """(…, 3d) → (…, d)."""
        mixed: Tensor = self.down(embedded + nn.functional.silu(self.mix(embedded)))
        return mixed
