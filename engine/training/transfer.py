"""Hidden Transfer's maps and corrections in training (arXiv 2404.12022): a module over a frozen target.

Step k's map makes, of the hidden state before its layer, a pseudo hidden state of the place k further on; the
frozen layers above turn it into a guess. Learnt is the target's own distribution at that place, by KL divergence
(the paper's loss was not to be had; this is the reconstruction of the compendium), with gradients through the
frozen layers. Maps begin as the least-squares solution from states to later states of the same layer. Corrections
tell a step's state which token its owner is followed by (heads/hidden_transfer/guesses.py says why).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from engine.training import activations
from engine.training.heads import Heads, Soft, least_squares
from engine.training.layered import Layered, RealRows
from engine.training.losses import divergence
from engine.training.material import Material

RIDGE = 1e-2
SOLVED_ROWS = activations.SHARD_ROWS
"""Rows of text that maps are solved on; shards of a chat model's answers hold many more."""


class Corrections(nn.Module):
    """A step's: an affine map of the owner's last state and of the embedding of the token behind it, and a block."""

    table: Tensor

    def __init__(self, num_steps: int, table: Tensor) -> None:
        """All zero. `table (v, h)` is the target's; its numbers are brought to about 1, where training is quick."""
        super().__init__()
        size = table.shape[1]
        self.owner, self.block = (nn.ModuleList(nn.Linear(size, size) for _ in range(num_steps)) for _ in range(2))
        self.root = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(num_steps))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        self.scale = float(table.square().mean().rsqrt())
        self.register_buffer("table", table * self.scale, persistent=False)

    def forward(self, step: int, states: Tensor, owners: Tensor, roots: Tensor) -> Tensor:
        """A step's states (…, h), corrected by their owners' (…, h) and the ids (…) of the tokens behind those."""
        y = states + self.owner[step - 1](owners.float()) + self.root[step - 1](self.table[roots])
        corrected: Tensor = y + nn.functional.silu(self.block[step - 1](y))
        return corrected

    def tensors(self) -> dict[str, Tensor]:
        """`correction.{step - 1}.weight` (h, 2h), of owner and embedding, `.block` (h, h), and both's biases (h,)."""
        own = dict(self.named_parameters())
        found: dict[str, Tensor] = {}
        for step in range(len(self.root)):
            joined = (own[f"owner.{step}.weight"], own[f"root.{step}.weight"] * self.scale)
            found[f"correction.{step}.weight"] = torch.cat(joined, dim=1)
            found[f"correction.{step}.bias"] = own[f"owner.{step}.bias"]
            for part in ("weight", "bias"):
                found[f"correction.{step}.block.{part}"] = own[f"block.{step}.{part}"]
        return found


class Transfer(Heads):
    """One linear map with bias a step, on top of a target that is no part of the module."""

    def __init__(self, layered: Layered | None, layers: tuple[int, ...], hidden_size: int) -> None:
        super().__init__()
        self.corrections: Corrections | None = None
        self.num_heads, self.layers = len(layers), layers
        self.maps = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in layers)
        self.sees_earlier = True
        self.places_share = 0.4
        """Of a row's places, those that pseudo rows look ahead from in one training pass."""
        # In a tuple: a frozen target is not the module's to save or to train.
        self._target = (layered,)

    @property
    def layered(self) -> Layered:
        """The target that the maps belong to."""
        assert self._target[0] is not None
        return self._target[0]

    def corrected(self, table: Tensor) -> Transfer:
        """These maps, frozen, with corrections to train; `table (v, h)` is the target's of embeddings."""
        self.maps.requires_grad_(False)
        self.corrections = Corrections(self.num_heads, table)
        return self

    def continued(self, other: Transfer) -> Transfer:
        """These maps from where another's training left its own."""
        self.maps.load_state_dict(other.maps.state_dict())
        return self

    def make(self, step: int, owners: Tensor) -> Tensor:
        """Pseudo states of a step of its owners' states."""
        made: Tensor = self.maps[step - 1](owners.to(self.maps[0].weight.dtype))  # type: ignore[arg-type]
        return made

    def last_states(self, rows: RealRows, places: Tensor) -> Tensor:
        """(b, p, k, h): every step's states behind the last layer; gradients only where the maps are trained."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.corrections is None):
            passed = self.layered.pseudo(rows, places, self.layers, self.make, sees_earlier=self.sees_earlier)
            *_, (_, states) = passed
        return states

    def guesses(self, step: int, states: Tensor, owners: Tensor, roots: Tensor) -> Tensor:
        """Logits (…, v) of a step's last states (…, h), their owners' (…, h) and the tokens (…) behind those."""
        if self.corrections is None:
            return self.layered.scores(states)
        states = self.corrections(step, self.layered.norm(states), owners, roots)
        logits: Tensor = self.layered.head(states.to(self.layered.dtype))
        return logits

    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """As `Heads`: step k is asked at place p for token p + 1 + k."""
        rows = self.layered.real(ids[:, :-1])
        places = torch.arange(ids.shape[1] - 1 - self.num_heads, device=ids.device).expand(len(ids), -1)
        states = self.last_states(rows, places)
        owners, roots = hidden[:, : places.shape[1]], ids[:, 1 : 1 + places.shape[1]]
        for step in range(1, self.num_heads + 1):
            yield self.guesses(step, states[:, :, step - 1], owners, roots)

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Sum over steps of the mean KL(target ‖ pseudo) in nats, at a random part of the answers' places."""
        return self.loss_on(self.layered.real(ids[:, :-1].clamp(min=0)), ids, hidden)

    def loss_on(self, rows: RealRows, ids: Tensor, hidden: Tensor) -> Tensor:
        """The loss of a batch whose real rows are known; its gradient is in the maps alone."""
        is_asked = self.labels(ids) >= 0
        places = self._chosen(is_asked[0])
        states = self.last_states(rows, places)
        owners, roots = hidden.take_along_dim(places[..., None], dim=1), ids.clamp(min=0).gather(1, places + 1)
        total = torch.zeros((), device=ids.device)
        for step in range(1, self.num_heads + 1):
            kept = is_asked[step - 1].gather(1, places)
            if kept.any():
                later = hidden.take_along_dim((places + step)[..., None], dim=1)[kept]
                wanted = self.layered.head(later.to(self.layered.dtype))
                given = self.guesses(step, states[:, :, step - 1][kept], owners[kept], roots[kept])
                total = total + divergence(given, wanted, torch.ones(len(given), dtype=torch.bool, device=ids.device))
        return total

    def _chosen(self, is_asked: Tensor) -> Tensor:
        """(b, p) places of each row, ascending: those that are asked before others, at random."""
        num_chosen = max(1, int(self.places_share * is_asked.shape[1]))
        drawn = torch.rand(is_asked.shape, device=is_asked.device) + is_asked.float()
        return drawn.topk(num_chosen, dim=1).indices.sort(dim=1).values

    def tensors(self) -> dict[str, Tensor]:
        """`transfer.{step - 1}.weight` (h, h) and `.bias` (h,), and what `Corrections.tensors` says."""
        maps = {f"transfer.{name}": tensor for name, tensor in self.maps.state_dict().items()}
        return maps | (self.corrections.tensors() if self.corrections else {})

    def config(self) -> dict[str, Any]:
        """Steps and their layers."""
        return {"method": "hidden_transfer", "num_steps": self.num_heads, "layers": list(self.layers)}


@torch.no_grad()
def solved(layered: Layered, layers: tuple[int, ...], material: Material) -> Transfer:
    """Maps that foresee states of their layer best in the least squares, on some rows of written text."""
    transfer = Transfer(layered, layers, material.hidden_size).reading(material).to(material.target.device)
    ids = material.sample(seed=0)[0][:SOLVED_ROWS]
    rows = layered.real(ids[:, :-1].clamp(min=0))
    is_text = ids[:, :-1] >= 0
    for step, (layer, linear) in enumerate(zip(layers, transfer.maps, strict=True), start=1):
        both = is_text[:, :-step] & is_text[:, step:]
        states = rows.entering[layer].float()
        owners = nn.functional.pad(states[:, :-step][both], (0, 1), value=1.0)
        solution = least_squares(owners, states[:, step:][both], RIDGE)
        linear.weight.copy_(solution[:, :-1])  # type: ignore[operator]
        linear.bias.copy_(solution[:, -1])  # type: ignore[operator]
    return transfer
