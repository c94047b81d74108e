"""Top-k leniency: a draft passes where it is one of the target's k likeliest tokens. Lossy."""

from __future__ import annotations

from torch import Tensor

from engine.verify._lenient import Lenient

NUM_LIKELIEST = 3


class AmongTop(Lenient):
    """Also keeps drafts among the target's likeliest, whatever it drew."""

    name = "among_top"

    def tolerated(self, probs: Tensor, of_children: Tensor) -> Tensor:
        num_likelier = (probs > of_children[:, None]).sum(dim=1)
        return num_likelier < NUM_LIKELIEST


RULE = AmongTop
