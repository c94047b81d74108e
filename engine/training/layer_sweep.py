"""Which layers pseudo hidden states are best transferred at: accuracy by layer, as figures and as a drawing.

Maps for every candidate layer learn from the same batches, all steps at one layer; the best layer of each step
is kept. At those layers an ablation follows: the same training with and without attention of a step to its
owner's earlier steps. Both studies are the paper's (arXiv 2404.12022, by the titles of its figures).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import RunFailed
from engine.training import curve
from engine.training.head_training import HeadTraining, heldout_ranks
from engine.training.heads import Soft
from engine.training.layered import Layered
from engine.training.material import Answers, Material
from engine.training.recipes import Recipe
from engine.training.trainer import Trainer
from engine.training.transfer import Transfer, solved

FILE, DRAWING = "layer_sweep.json", "layer_sweep.svg"
MAX_LAYERS = 8
SWEPT_SHARE = 0.7
"""Of the time, for the sweep; the rest is the ablation's."""
NUM_ANSWERS = 5
"""Held-out answers of each task that accuracy is measured on."""
PLACES_SHARE = 0.8
"""Of a row's places, shared out among the candidates: real rows should not take most of the time, nor pseudo rows."""
PLATEAU = 0.01


class Comparison(HeadTraining):
    """Several candidates that learn from the same batches, real rows computed once; a `trainer.Job`."""

    def __init__(self, name: str, recipe: Recipe, candidates: Mapping[str, Transfer], material: Material) -> None:
        super().__init__("hidden_transfer", recipe, next(iter(candidates.values())), material)
        self.name, self.candidates = name, candidates
        for transfer in candidates.values():
            transfer.places_share = PLACES_SHARE / len(candidates)
        self.module = Together(candidates.values())
        self.accuracy: dict[str, list[float]] = {}

    def evaluate(self) -> dict[str, float]:
        """How often each candidate's each step puts the true token first."""
        answers = [Answers(a.task, a.rows[:NUM_ANSWERS]) for a in self.material.heldout]
        for name, transfer in self.candidates.items():
            ranks = torch.cat([heldout_ranks(transfer, part) for part in answers])
            self.accuracy[name] = [round(share, 4) for share in (ranks == 0).float().mean(dim=0).tolist()]
        return {f"{name}, step 1": found[0] for name, found in self.accuracy.items()}

    def save(self, folder: Path) -> None:
        """Nothing: what is kept is `run`'s to say."""


class Together(nn.Module):
    """The sum of the candidates' losses."""

    def __init__(self, candidates: Iterator[Transfer] | Any) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(candidates)

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """As `Heads.forward`, for all of them on the same real rows."""
        first: Any = self.candidates[0]
        rows = first.layered.real(ids[:, :-1].clamp(min=0))
        losses = [transfer.loss_on(rows, ids, hidden) for transfer in self.candidates]  # type: ignore[operator]
        return torch.stack(losses).sum()


def run(layered: Layered, material: Material, recipe: Recipe, num_steps: int) -> Transfer:
    """Maps at the best layers, as trained in the ablation; figures to FILE beside the material.

    Where FILE is there already, its layers are taken, and only solved for.
    """
    path = material.written.parent / FILE
    if path.is_file():
        return solved(layered, tuple(json.loads(path.read_text())["layers"]), material)
    stride = -(-(len(layered) - 1) // MAX_LAYERS)
    swept = {
        f"layer {layer}": solved(layered, (layer,) * num_steps, material) for layer in range(1, len(layered), stride)
    }
    accuracy = _train("sweep of layers", swept, material, recipe, SWEPT_SHARE)
    layers = best_layers(accuracy)
    ablated = {name: solved(layered, layers, material) for name in ("with", "without")}
    for transfer in ablated.values():
        for step, layer in enumerate(layers):
            transfer.maps[step].load_state_dict(swept[f"layer {layer}"].maps[step].state_dict())
    ablated["without"].sees_earlier = False
    ablation = _train("ablation", ablated, material, recipe, 1 - SWEPT_SHARE)
    found = {
        "accuracy_by_layer": {name.split()[1]: row for name, row in accuracy.items()},
        "layers": list(layers),
        "ablation_of_attention_to_earlier_steps": ablation,
    }
    path.write_text(json.dumps(found, indent=1) + "\n")
    return solved(layered, layers, material).continued(ablated["with"])


def _train(
    name: str, candidates: dict[str, Transfer], material: Material, recipe: Recipe, share: float
) -> dict[str, list[float]]:
    recipe = replace(recipe, limit_minutes=recipe.limit_minutes * share)
    folder, device = material.written.parent / name.replace(" ", "_"), material.target.device.type
    job = Comparison(name, recipe, candidates, material)
    if not Trainer(job, recipe, folder, device).run():
        raise RunFailed(f"The {name} was stopped before its end, so no layers are chosen; the next run begins it anew.")
    return job.accuracy


def best_layers(accuracy: Mapping[str, Sequence[float]]) -> tuple[int, ...]:
    """The last layer at which each step is right as often as anywhere, within PLATEAU: later rows cost less."""
    by_layer = {int(name.split()[1]): row for name, row in accuracy.items()}
    found = []
    for column in zip(*by_layer.values(), strict=True):
        found.append(
            max(layer for layer, right in zip(by_layer, column, strict=True) if right >= max(column) - PLATEAU)
        )
    return tuple(found)


@torch.inference_mode()
def cosines(transfer: Transfer, material: Material, *, is_centred: bool) -> dict[str, dict[str, float]]:
    """Mean cosine of pseudo states with the real states of the places they stand for, by layer and step.

    Real states of a layer share a large part. `is_centred` takes their mean off both sides, so that what is
    compared is what tells one place from another.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for answers in material.heldout:
        for num_prompt, ids, _ in answers.rows[:NUM_ANSWERS]:
            if len(ids) - 1 - transfer.num_heads > num_prompt:
                for layer, step, cosine in _cosines_of(transfer, num_prompt, ids, is_centred):
                    found.setdefault(str(layer), {}).setdefault(str(step), []).append(cosine)
    return {
        layer: {step: round(sum(values) / len(values), 4) for step, values in by_step.items()}
        for layer, by_step in found.items()
    }


def _cosines_of(transfer: Transfer, num_prompt: int, ids: Tensor, is_centred: bool) -> Iterator[tuple[int, int, float]]:
    """(layer, step, mean cosine over an answer's places)."""
    device = next(transfer.parameters()).device
    rows = transfer.layered.real(ids[None, :-1].to(device))
    places = torch.arange(num_prompt - 1, len(ids) - 1 - transfer.num_heads, device=device)
    for layer, states in transfer.layered.pseudo(rows, places[None], transfer.layers, transfer.make):
        steps = [step for step, own in enumerate(transfer.layers, start=1) if own <= layer]
        real = rows.entering[layer][0].float()
        shared = real[num_prompt:].mean(dim=0) if is_centred else torch.zeros_like(real[0])
        for place, step in enumerate(steps):
            given, wanted = states[0, :, place].float() - shared, real[places + step] - shared
            yield layer, step, nn.functional.cosine_similarity(given, wanted, dim=-1).mean().item()


def write(transfer: Transfer, material: Material, folder: Path) -> None:
    """The sweep's figures, their drawing and the trained maps' cosines into a weights folder; a section of its card."""
    found = json.loads((material.written.parent / FILE).read_text())
    found["cosine_by_layer"] = cosines(transfer, material, is_centred=False)
    found["centred_cosine_by_layer"] = cosines(transfer, material, is_centred=True)
    (folder / FILE).write_text(json.dumps(found, indent=1) + "\n")
    (folder / DRAWING).write_text(draw(found["accuracy_by_layer"]), encoding="utf-8")
    ablation = found["ablation_of_attention_to_earlier_steps"]
    lines = [
        "",
        "## Layers",
        "",
        f"Steps 1 to {len(found['layers'])} are transferred before layers {', '.join(map(str, found['layers']))}: "
        "the last at which each was right as often as anywhere in the sweep, within a hundredth.",
        "",
        f"![Accuracy by layer]({DRAWING})",
        "",
        "A step's attention to its owner's earlier steps, trained with and without: "
        + "; ".join(f"{name} {' / '.join(f'{share:.1%}' for share in row)}" for name, row in ablation.items())
        + ".",
    ]
    with (folder / "README.md").open("a", encoding="utf-8") as card:
        card.write("\n".join(lines) + "\n")


def draw(accuracy: Mapping[str, Sequence[float]]) -> str:
    """Share of held-out places where a step puts the true token first, over the layer of its transfer."""
    steps = zip(*accuracy.values(), strict=True)
    lines = {f"step {i}": list(zip(map(float, accuracy), row, strict=True)) for i, row in enumerate(steps, start=1)}
    return curve.draw_lines(lines, "Accuracy by layer of transfer", "layer {:.1f}", "{:.0%}")
