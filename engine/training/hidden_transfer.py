"""Training of Hidden Transfer (arXiv 2404.12022): linear maps into a frozen target's upper layers.

Step k's map makes, of the hidden state before its layer, a pseudo hidden state of the place k further on; the
frozen layers above turn it into a guess. Learnt is the target's own distribution at that place, by KL divergence
(the paper's loss was not to be had; this is the reconstruction of the compendium), with gradients through the
frozen layers. Maps begin as the least-squares solution from states to later states of the same layer, and the
layers come from `layer_sweep`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.training import activations, layer_sweep
from engine.training.heads import Heads, Soft, labels_of, train_heads
from engine.training.layered import Layered, RealRows
from engine.training.losses import divergence
from engine.training.material import Material
from engine.training.recipes import RECIPES, Recipe
from engine.training.runs import Order

NUM_STEPS = 3
SWEEP_SHARE = 0.3
"""Of the time limit, for the choice of layers."""
RIDGE = 1e-2


class Transfer(Heads):
    """One linear map with bias a step, on top of a target that is no part of the module."""

    def __init__(self, layered: Layered | None, layers: tuple[int, ...], hidden_size: int) -> None:
        super().__init__()
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

    def continued(self, other: Transfer) -> Transfer:
        """These maps from where another's training left its own."""
        self.maps.load_state_dict(other.maps.state_dict())
        return self

    def make(self, step: int, owners: Tensor) -> Tensor:
        """Pseudo states of a step of its owners' states."""
        made: Tensor = self.maps[step - 1](owners.to(self.maps[0].weight.dtype))  # type: ignore[arg-type]
        return made

    def last_states(self, rows: RealRows, places: Tensor) -> Tensor:
        """(b, p, k, h): every step's states behind the last layer."""
        passed = self.layered.pseudo(rows, places, self.layers, self.make, sees_earlier=self.sees_earlier)
        *_, (_, states) = passed
        return states

    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """As `Heads`: step k is asked at place p for token p + 1 + k."""
        rows = self.layered.real(ids[:, :-1])
        places = torch.arange(ids.shape[1] - 1 - self.num_heads, device=ids.device).expand(len(ids), -1)
        states = self.last_states(rows, places)
        for step in range(self.num_heads):
            yield self.layered.scores(states[:, :, step])

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Sum over steps of the mean KL(target ‖ pseudo) in nats, at a random part of the answers' places."""
        return self.loss_on(self.layered.real(ids[:, :-1].clamp(min=0)), ids, hidden)

    def loss_on(self, rows: RealRows, ids: Tensor, hidden: Tensor) -> Tensor:
        """The loss of a batch whose real rows are known; its gradient is in the maps alone."""
        is_asked = labels_of(ids, self.num_heads, self.end_ids, self.begin_ids) >= 0
        places = self._chosen(is_asked[0])
        states = self.last_states(rows, places)
        total = torch.zeros((), device=ids.device)
        for step in range(1, self.num_heads + 1):
            kept = is_asked[step - 1].gather(1, places)
            if kept.any():
                later = hidden.take_along_dim((places + step)[..., None], dim=1)[kept]
                wanted = self.layered.head(later.to(self.layered.dtype))
                given = self.layered.scores(states[:, :, step - 1][kept])
                total = total + divergence(given, wanted, torch.ones(len(given), dtype=torch.bool, device=ids.device))
        return total

    def _chosen(self, is_asked: Tensor) -> Tensor:
        """(b, p) places of each row, ascending: those that are asked before others, at random."""
        num_chosen = max(1, int(self.places_share * is_asked.shape[1]))
        drawn = torch.rand(is_asked.shape, device=is_asked.device) + is_asked.float()
        return drawn.topk(num_chosen, dim=1).indices.sort(dim=1).values

    def tensors(self) -> dict[str, Tensor]:
        """`transfer.{step - 1}.weight` (h, h) and `.bias` (h,)."""
        return {f"transfer.{name}": tensor for name, tensor in self.maps.state_dict().items()}

    def config(self) -> dict[str, Any]:
        """Steps and their layers."""
        return {"method": "hidden_transfer", "num_steps": self.num_heads, "layers": list(self.layers)}


def make(material: Material, recipe: Recipe) -> Transfer:
    """Untrained maps for a target."""
    return Transfer(None, (1,) * NUM_STEPS, material.hidden_size)


def make_swept(material: Material, recipe: Recipe) -> Transfer:
    """Maps at the layers that the sweep finds best, as far trained as the ablation brought them."""
    layered = Layered(material.target)
    minutes = recipe.limit_minutes * SWEEP_SHARE / (1 - SWEEP_SHARE)
    return layer_sweep.run(
        lambda layers: solved(layered, layers, material),
        material,
        replace(recipe, limit_minutes=minutes),
        len(layered),
        NUM_STEPS,
        material.target.device.type,
    )


@torch.no_grad()
def solved(layered: Layered, layers: tuple[int, ...], material: Material) -> Transfer:
    """Maps that foresee states of their layer best in the least squares, on one shard of written text."""
    transfer = Transfer(layered, layers, material.hidden_size)
    transfer.end_ids, transfer.begin_ids = material.end_ids, material.begin_ids
    ids, _ = next(activations.shards(material.written, seed=0))
    rows = layered.real(ids[:, :-1].clamp(min=0))
    is_text = ids[:, :-1] >= 0
    for step, (layer, linear) in enumerate(zip(layers, transfer.maps, strict=True), start=1):
        both = is_text[:, :-step] & is_text[:, step:]
        states = rows.entering[layer].float()
        owners, later = states[:, :-step][both], states[:, step:][both]
        owners = nn.functional.pad(owners, (0, 1), value=1.0)
        square = owners.T @ owners
        square += RIDGE * square.diagonal().mean() * torch.eye(len(square))
        solution = torch.linalg.solve(square, owners.T @ later)
        linear.weight.copy_(solution[:-1].T)  # type: ignore[operator]
        linear.bias.copy_(solution[-1])  # type: ignore[operator]
    return transfer


def train(order: Order) -> None:
    """`train hidden_transfer`: the sweep, then the maps. The time limit covers both."""
    limit = order.limit_minutes or RECIPES["hidden_transfer", order.preset].limit_minutes
    made: list[tuple[Transfer, Material]] = []

    def make_and_keep(material: Material, recipe: Recipe) -> Transfer:
        made.append((make_swept(material, recipe), material))
        return made[0][0]

    train_heads(replace(order, limit_minutes=limit * (1 - SWEEP_SHARE)), "hidden_transfer", make_and_keep)
    layer_sweep.write(*made[0], order.folder)
