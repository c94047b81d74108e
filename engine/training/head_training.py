"""Heads trained in two stages, measured and written as a weights folder.

First the corpus, then text that the target wrote (arXiv 2404.19124, Section 3); then how often held-out tokens are
foreseen is measured by head and rank, and the folder is written that `drafters/heads/_weights.py` reads. What heads
learn from is material.py's, what they are heads.py's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine import models
from engine.drafters import shapes
from engine.drafters.heads._weights import CONFIG_FILE, SCALE, SHAPE_FILE, SHARES_FILE, VOCABULARY_FILE, WEIGHTS_FILE
from engine.target import Target
from engine.training import acceptance, written
from engine.training.card import write_card
from engine.training.heads import Heads, Soft, labels_of, placed
from engine.training.material import Answers, Material, gather
from engine.training.packing import IGNORED
from engine.training.recipes import Progress, Recipe
from engine.training.runs import Order, has_checkpoint, run_trainer
from engine.training.trainer import Micro, Trainer, num_parameters

TOP_K = 10
NUM_SOFT = 16
EVALUATED_NODES = 32
MEASURED_PROMPTS = 24
"""Held-out prompts, of all tasks together, that are decoded when a training is done."""
OUTSIDE = -1
"""The label of a token that heads do not score."""
UNASKED = shapes.MAX_NODES + 1
"""The rank where there is no label: like `MAX_NODES`, beyond all that a tree drafts."""
CONTINUED_RATE = 0.2
"""Of the learning rate, where trained weights go on: more spoils them at first (docs/log.md, 2026-11-28)."""


class HeadTraining:
    """Heads on stored hidden states, stage after stage; a `trainer.Job`."""

    def __init__(self, method: str, recipe: Recipe, heads: Heads, material: Material) -> None:
        self.name, self.method, self.recipe, self.material = f"{material.name}-{method}", method, recipe, material
        self.heads = heads.reading(material)
        self.module: nn.Module = heads
        self._output = material.output_table.to(material.target.dtype)
        self.figures: dict[str, str] = {}
        self.flags = ""
        """What was said beside the method's name, for the card."""
        self.begin: Path | None = None
        """Weights that were gone on from."""

    def batches(self, progress: Progress) -> Iterator[list[Micro]]:
        """Rows of one pass over a stage's shards after another."""
        return self.material.batches(self.recipe, progress)

    def loss(self, network: nn.Module, micro: Micro) -> Tensor:
        """The heads' loss in nats."""
        ids, hidden = micro
        loss: Tensor = network(ids, hidden, self._soft(hidden)) if self.heads.is_distilled else network(ids, hidden)
        return loss

    @torch.no_grad()
    def _soft(self, hidden: Tensor) -> Soft:
        """What the target itself expects next at every place; a final softcap would not change the order."""
        likely = nn.functional.linear(hidden.to(self._output.dtype), self._output).float().topk(NUM_SOFT, dim=-1)
        return likely.indices, likely.values.softmax(dim=-1)

    def evaluate(self) -> dict[str, float]:
        """Mean rank-0 accuracy of the first and last head, and what a tree of 32 nodes would emit a step."""
        ranks = torch.cat([heldout_ranks(self.heads, answers) for answers in self.material.heldout])
        right = (ranks == 0).float().mean(dim=0)
        tree = shapes.measured(ranks, EVALUATED_NODES, TOP_K)
        return {"first_head": right[0].item(), "last_head": right[-1].item(), "tree_of_32": tree.expected_emitted}

    def save(self, folder: Path) -> None:
        """Weights in bf16 or bytes, config with the target's fingerprint, tokens, acceptance, tree, card."""
        tensors = {name: tensor.detach().cpu() for name, tensor in self.heads.tensors().items()}
        save_file(_stored(tensors, self.heads.most_bytes), folder / WEIGHTS_FILE, metadata={"format": "pt"})
        config = {**self.heads.config(), **self.material.identity()}
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n")
        (folder / VOCABULARY_FILE).write_text(json.dumps(self._drafted()) + "\n")
        self.figures = write_figures(self.heads, self.material.heldout, folder)
        self.write_card(folder)

    def _drafted(self) -> list[int]:
        """Tokens worth drafting: those scored, or those of the weights begun with, or what answers hold most often."""
        if self.material.vocabulary is not None:
            return cast(list[int], self.material.vocabulary.tolist())
        if self.begin is not None and (known := self.begin / VOCABULARY_FILE).is_file():
            return cast(list[int], json.loads(known.read_text()))
        return written.frequent_tokens(self.material.texts)

    def write_card(self, folder: Path) -> None:
        """The weights' `README.md`."""
        write_card(folder, self.name, {**self._facts(), **self.figures}, has_samples=False)

    def _facts(self) -> dict[str, str]:
        return {
            "target": f"{self.material.name}, weights {self.material.identity()['target_fingerprint']}",
            "parameters": f"{num_parameters(self.heads) / 1e6:.2f} M in {self.heads.num_heads} heads",
            "data": self.material.told,
            "weights": "safetensors, bf16 or, where that is much, matrices in bytes with a scale a row; Apache-2.0",
            "made by": f"`python -m engine train {self.method}{self.flags}`",
        }


def _stored(tensors: dict[str, Tensor], most_bytes: int) -> dict[str, Tensor]:
    """As they are kept: bf16, or where that is more than `most_bytes` matrices in bytes with their rows' scales."""
    is_small = 2 * sum(tensor.numel() for tensor in tensors.values()) <= most_bytes
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if is_small or tensor.ndim != 2:
            found[name] = tensor.bfloat16().contiguous()
        else:
            scales = (tensor.float().abs().amax(dim=1) / 127).clamp(min=1e-12)
            found[name] = (tensor.float() / scales[:, None]).round().to(torch.int8).contiguous()
            found[f"{name}.{SCALE}"] = scales
    return found


@torch.inference_mode()
def heldout_ranks(heads: Heads, answers: Answers) -> Tensor:
    """(n, heads): the rank that each head gives the true token, at every place of an answer where all are asked.

    A draft is made behind each emitted token, so places start where the root is the answer's first token. Behind
    the end of a text there is nothing to foresee, and no rank is good.
    """
    device = next(heads.parameters()).device
    found = []
    for num_prompt, ids, hidden in answers.rows:
        ids, hidden = _padded(ids, hidden, heads.num_heads)
        labels = labels_of(ids[None], heads.num_heads, heads.end_ids)[:, 0]
        if heads.places is not None:
            labels = placed(labels, heads.places, OUTSIDE)
        states = heads.contextual(hidden[None].float().to(device))
        scores = heads.scores(ids[None].clamp(min=0).to(device), states)
        ranks = [_rank(s[0].float().cpu(), label) for s, label in zip(scores, labels, strict=True)]
        found.append(torch.stack(ranks, dim=1)[num_prompt - 1 :])
    kept = torch.cat(found)
    return kept[kept[:, 0] != UNASKED]


def _padded(ids: Tensor, hidden: Tensor, num_heads: int) -> tuple[Tensor, Tensor]:
    """Padding behind an answer, so that its last places are asked as well."""
    more = nn.functional.pad(hidden, (0, 0, 0, num_heads - 1))
    return nn.functional.pad(ids, (0, num_heads - 1), value=IGNORED), more


def _rank(scores: Tensor, labels: Tensor) -> Tensor:
    """Tokens that score above the label, (p,), as far as a tree's ranks go; UNASKED without a label."""
    own = scores.gather(1, labels.clamp(min=0)[:, None])
    ranks = (scores > own).sum(dim=1).clamp(max=shapes.MAX_NODES)
    return ranks.masked_fill(labels == OUTSIDE, shapes.MAX_NODES).masked_fill(labels == IGNORED, UNASKED)


def write_figures(heads: Heads, heldout: Sequence[Answers], folder: Path) -> dict[str, str]:
    """`acceptance.json` by task, head and rank, and the tree that all tasks give; a line a task for the card."""
    ranks = {answers.task: heldout_ranks(heads, answers) for answers in heldout}
    tree = shapes.measured(torch.cat(list(ranks.values())), top_k=TOP_K)
    if heads.has_static_tree:
        (folder / SHAPE_FILE).write_text(json.dumps(tree.rows()) + "\n")
    found = {task: _figures(part) for task, part in ranks.items()}
    (folder / "acceptance.json").write_text(json.dumps(found, indent=1) + "\n")
    return {f"acceptance on {task}": _line(figures) for task, figures in found.items()}


def _figures(ranks: Tensor) -> dict[str, Any]:
    accuracy = shapes.accuracy_of(ranks, TOP_K)
    tree = shapes.measured(ranks, EVALUATED_NODES, TOP_K)
    return {
        "places": len(ranks),
        "by_head_and_rank": [[round(share, 4) for share in row] for row in accuracy],
        "tree_of_32": round(tree.expected_emitted, 3),
    }


def _line(figures: dict[str, Any]) -> str:
    table = figures["by_head_and_rank"]
    heads = ", ".join(f"{row[0]:.0%} ({sum(row[:5]):.0%})" for row in table)
    return f"heads 1 to {len(table)} put the true token first (among the first 5) in {heads} of places"


def train_heads(order: Order, recipe_name: str, make: Callable[[Material, Recipe], Heads]) -> bool:
    """What `train METHOD` does for a method whose heads read stored hidden states. Whether the run came to its end."""
    recipe = order.recipe(recipe_name)
    material = gather(order, recipe)
    torch.manual_seed(recipe.seed)
    heads = make(material, recipe)
    if order.begin is not None:
        heads.begin_with(order.begin)
        recipe = replace(recipe, lr=CONTINUED_RATE * recipe.lr)
    material = material.tapping(heads.taps)
    job = HeadTraining(order.name, recipe, heads, material)
    job.begin = order.begin
    job.flags = "" if order.begin is None else f" --begin {order.begin.name}"
    job.flags += "" if order.variant is None else f" --variant {order.variant}"
    trainer = Trainer(job, recipe, order.folder, order.device, is_compiled=order.is_compiled)
    is_finished = run_trainer(trainer, order.is_resumed and has_checkpoint(order.folder))
    if is_finished:
        job.figures |= measure_drafts(order, material, has_shares=not job.heads.has_static_tree)
        job.write_card(order.folder)
    return is_finished


def measure_drafts(order: Order, material: Material, *, has_shares: bool) -> dict[str, str]:
    """Greedy decoding of held-out prompts with a tree of 32 nodes: a line a task for the card.

    With `has_shares` the acceptance of each node, over all tasks, is kept with the weights.
    """
    target = Target(models.load(str(order.target), order.device))
    found: dict[str, dict[str, Any]] = {}
    num_prompts = max(1, MEASURED_PROMPTS // max(1, len(material.heldout)))
    for answers in material.heldout:
        prompts = [ids[:num_prompt].tolist() for num_prompt, ids, _ in answers.rows[:num_prompts]]
        options = {"weights": str(order.folder), "budget": EVALUATED_NODES}
        found[answers.task] = acceptance.tree_figures(target, prompts, order.name, options)
    if has_shares:
        counted = torch.tensor([figures["by_node"] for figures in found.values()])
        weights = torch.tensor([float(figures["steps"]) for figures in found.values()])
        shares = (counted * weights[:, None]).sum(dim=0) / weights.sum().clamp(min=1)
        (order.folder / SHARES_FILE).write_text(json.dumps([round(share, 5) for share in shares.tolist()]) + "\n")
    return {f"block efficiency on {task}": _block_line(figures) for task, figures in found.items()}


def _block_line(figures: dict[str, Any]) -> str:
    return (
        f"{figures['block_efficiency']} tokens a step with {EVALUATED_NODES} nodes, greedy, "
        f"{figures['steps']} steps on held-out prompts"
    )
