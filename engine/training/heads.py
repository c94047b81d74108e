"""Heads that foresee tokens from a frozen target's last hidden states: their training, their figures.

A method gives a `Heads` module; this trains it in two stages, on the corpus and then on text that the target
wrote (arXiv 2404.19124, Section 3), measures by head and rank how often held-out tokens are foreseen, and
writes the weights folder that `drafters/heads/_weights.py` reads. What they learn from is material.py's.

Place p of a row is where the target's hidden state, behind its last norm, scores token p + 1: the root of a
draft. Head i is asked there for token p + 2 + i. In a `Heads` module, vocabulary tables are named `embed` or
`lm_head` and go to AdamW; every other matrix goes to Muon (`trainer.make_optimizers`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine import models
from engine.drafters import shapes
from engine.drafters.heads._weights import CONFIG_FILE, SHAPE_FILE, SHARES_FILE, VOCABULARY_FILE, WEIGHTS_FILE
from engine.errors import BadInput
from engine.target import Target
from engine.training import acceptance, activations, written
from engine.training.card import write_card
from engine.training.material import Answers, Material, gather
from engine.training.packing import IGNORED
from engine.training.recipes import Progress, Recipe, stage_at
from engine.training.runs import Order, has_checkpoint, run_trainer
from engine.training.trainer import Micro, Trainer, num_parameters

TOP_K = 10
NUM_SOFT = 16
EVALUATED_NODES = 32
CONTINUED_RATE = 0.2
"""Of the learning rate, where trained weights go on: more spoils them at first (docs/log.md, 2026-11-28)."""


Soft = tuple[Tensor, Tensor]
"""The target's likeliest tokens and their probabilities among themselves, (b, t, s) each."""


class Heads(nn.Module, ABC):
    """What a method trains. `end_ids` end a text; `begin_ids` begin an answer, where a single token does."""

    num_heads: int
    end_ids: tuple[int, ...] = ()
    begin_ids: tuple[int, ...] = ()
    is_distilled = False
    """Whether heads learn the target's distribution of the token, its likeliest `NUM_SOFT`, and not the token."""
    has_context = True
    """Whether a place looks at the places before it; where not, places that are not asked are not computed."""
    has_static_tree = True
    """Whether the method's tree is of a shape measured here, and not of one that follows the text."""

    @abstractmethod
    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """Logits (b, p, v) of one head after another at the first p = t - num_heads places of each row.

        `ids (b, t + 1)` are true tokens, padding clamped to 0; `hidden (b, t, h)`. Head i at place p may read
        hidden states up to p and tokens up to p + 1 + i.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What is kept, by the method's published names."""

    @torch.no_grad()
    def begin_with(self, folder: Path) -> None:
        """Take over the weights of a folder. Raises BadInput where they are others than `tensors`."""
        given = load_file(folder / WEIGHTS_FILE) if (folder / WEIGHTS_FILE).is_file() else {}
        own = {name: tensor.detach() for name, tensor in self.tensors().items()}
        if {name: part.shape for name, part in own.items()} != {name: part.shape for name, part in given.items()}:
            raise BadInput(f"{folder} does not hold what is trained here; wanted the tensors {', '.join(own)}.")
        for name, tensor in own.items():
            tensor.copy_(given[name])

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What the method's `config.json` says of the architecture."""

    def head_weight(self, head: int) -> float:
        """What one head's loss counts."""
        return 1.0

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Weighted sum of the heads' mean cross-entropies, in nats.

        Over (b, t + 1) ids, padding below zero, and (b, t, h) hidden states: with the true tokens, or with the
        target's distributions `soft`, whose row q is that of token q + 1.
        """
        labels = labels_of(ids, self.num_heads, self.end_ids, self.begin_ids)
        is_asked = labels[0] != IGNORED
        num_places = is_asked.shape[1]
        if not self.has_context:
            ids = ids.unfold(1, self.num_heads + 2, 1)[is_asked]
            hidden = hidden[:, :num_places][is_asked][:, None]
        total = torch.zeros((), device=ids.device)
        for i, scores in enumerate(self.scores(ids.clamp(min=0), hidden)):
            asked = scores[is_asked] if self.has_context else scores[:, 0]
            likely = soft and tuple(part[:, 1 + i : 1 + i + num_places][is_asked] for part in soft)
            total = total + self.head_weight(i) * _cross_entropy(asked, labels[i][is_asked], likely)
        return total


def least_squares(given: Tensor, wanted: Tensor, ridge: float = 1e-3) -> Tensor:
    """The matrix (o, i) that best makes `wanted (n, o)` of `given (n, i)`."""
    gram = given.T @ given
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    solution: Tensor = torch.linalg.solve(gram, given.T @ wanted)
    return solution.T


def _cross_entropy(scores: Tensor, labels: Tensor, soft: tuple[Tensor, ...] | None) -> Tensor:
    """Mean over the k places that have a label; `soft` holds tokens and probabilities, both (k, s)."""
    if soft is None:
        return nn.functional.cross_entropy(scores.float(), labels, ignore_index=IGNORED)
    tokens, probs = soft
    scores = scores.float()
    losses = scores.logsumexp(dim=1) - (probs * scores.gather(1, tokens)).sum(dim=1)
    has_label = labels != IGNORED
    return (losses * has_label).sum() / has_label.sum().clamp(min=1)


def labels_of(ids: Tensor, num_heads: int, end_ids: Sequence[int], begin_ids: Sequence[int] = ()) -> Tensor:
    """(n, b, p): token p + 2 + i for head i; IGNORED in padding, behind the end of a text and outside answers."""
    num_places = ids.shape[1] - 1 - num_heads
    is_over = torch.isin(ids, torch.tensor(end_ids, device=ids.device, dtype=ids.dtype))
    found = []
    has_ended = ~_is_in_answer(ids, is_over, begin_ids)[:, :num_places]
    for head in range(num_heads):
        has_ended = has_ended | is_over[:, 1 + head : 1 + head + num_places]
        found.append(ids[:, 2 + head : 2 + head + num_places].masked_fill(has_ended, IGNORED))
    return torch.stack(found)


def _is_in_answer(ids: Tensor, is_over: Tensor, begin_ids: Sequence[int]) -> Tensor:
    """(b, t + 1): whether the last token up to here that begins or ends an answer begins one."""
    if not begin_ids:
        return torch.ones_like(is_over)
    begins = torch.isin(ids, torch.tensor(begin_ids, device=ids.device))
    places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    last_begin, last_end = (torch.where(found, places, 0).cummax(dim=1).values for found in (begins, is_over))
    return last_begin > last_end


class HeadTraining:
    """Heads on stored hidden states, stage after stage; a `trainer.Job`."""

    def __init__(self, method: str, recipe: Recipe, heads: Heads, material: Material) -> None:
        self.name, self.method, self.recipe, self.heads, self.material = (
            f"story-{method}",
            method,
            recipe,
            heads,
            material,
        )
        self.module: nn.Module = heads
        self.figures: dict[str, str] = {}
        self.flags = ""
        """What was said beside the method's name, for the card."""
        heads.end_ids, heads.begin_ids = material.end_ids, material.begin_ids

    def batches(self, progress: Progress) -> Iterator[list[Micro]]:
        """Rows of one pass over a stage's shards after another; a pass ends early where its stage does."""
        recipe = self.recipe
        while True:
            stage = stage_at(recipe, progress.share(recipe))
            folder = self.material.written if stage.is_written else self.material.text
            for place, batch in enumerate(self._batches_of(folder, recipe.seed * 1000 + progress.epoch)):
                if place < progress.offset:
                    continue
                progress.offset += 1
                yield batch
                if stage_at(recipe, progress.share(recipe)) != stage:
                    break
            progress.epoch, progress.offset = progress.epoch + 1, 0

    def _batches_of(self, folder: Path, seed: int) -> Iterator[list[Micro]]:
        generator = torch.Generator().manual_seed(seed)
        for ids, hidden in activations.shards(folder, seed):
            order = torch.randperm(len(ids), generator=generator)
            num_rows = max(1, self.recipe.batch_tokens // (ids.shape[1] - 1))
            num_micro = max(1, self.recipe.micro_tokens // (ids.shape[1] - 1))
            for chosen in order.split(num_rows):
                yield list(zip(ids[chosen].split(num_micro), hidden[chosen].split(num_micro), strict=True))

    def loss(self, network: nn.Module, micro: Micro) -> Tensor:
        """The heads' loss in nats."""
        ids, hidden = micro
        loss: Tensor = network(ids, hidden, self._soft(hidden)) if self.heads.is_distilled else network(ids, hidden)
        return loss

    @torch.no_grad()
    def _soft(self, hidden: Tensor) -> Soft:
        """What the target itself expects next at every place; a final softcap would not change the order."""
        output = self.material.target.get_output_embeddings()
        scores = output(hidden.to(self.material.target.dtype)).float()
        likely = scores.topk(NUM_SOFT, dim=-1)
        return likely.indices, likely.values.softmax(dim=-1)

    def evaluate(self) -> dict[str, float]:
        """Mean rank-0 accuracy of the first and last head, and what a tree of 32 nodes would emit a step."""
        ranks = torch.cat([heldout_ranks(self.heads, answers) for answers in self.material.heldout])
        right = (ranks == 0).float().mean(dim=0)
        tree = shapes.measured(ranks, EVALUATED_NODES, TOP_K)
        return {"first_head": right[0].item(), "last_head": right[-1].item(), "tree_of_32": tree.expected_emitted}

    def save(self, folder: Path) -> None:
        """Weights in bf16, config with the target's fingerprint, measured acceptance and tree, card."""
        tensors = {name: t.detach().bfloat16().cpu().contiguous() for name, t in self.heads.tensors().items()}
        save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        config = {**self.heads.config(), **self.material.identity()}
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n")
        self.figures = write_figures(self.heads, self.material.heldout, folder)
        self.write_card(folder)

    def write_card(self, folder: Path) -> None:
        """The weights' `README.md`."""
        write_card(folder, self.name, {**self._facts(), **self.figures}, has_samples=False)

    def _facts(self) -> dict[str, str]:
        return {
            "target": f"{self.material.name}, weights {self.material.identity()['target_fingerprint']}",
            "parameters": f"{num_parameters(self.heads) / 1e6:.2f} M in {self.heads.num_heads} heads",
            "data": "the target's hidden states on its training chats, then on answers that it wrote itself, four "
            "of five greedily and the rest at temperature 1; licences in assets/models/README.md",
            "weights": "bf16 safetensors, Apache-2.0",
            "made by": f"`python -m engine train {self.method}{self.flags}`",
        }


@torch.inference_mode()
def heldout_ranks(heads: Heads, answers: Answers) -> Tensor:
    """(n, heads): the rank that each head gives the true token, at every place of an answer where all are asked.

    A draft is made behind each emitted token, so places start where the root is the answer's first token. Behind
    the end of a text there is nothing to foresee, and no rank is good: `shapes.MAX_NODES`.
    """
    device = next(heads.parameters()).device
    found = []
    for num_prompt, ids, hidden in answers.rows:
        ids, hidden = _padded(ids, hidden, heads.num_heads)
        labels = labels_of(ids[None], heads.num_heads, heads.end_ids)[:, 0]
        scores = heads.scores(ids[None].clamp(min=0).to(device), hidden[None].float().to(device))
        ranks = [_rank(s[0].float().cpu(), label) for s, label in zip(scores, labels, strict=True)]
        found.append(torch.stack(ranks, dim=1)[num_prompt - 1 :])
    kept = torch.cat(found)
    return kept[kept[:, 0] < shapes.MAX_NODES**2]


def _padded(ids: Tensor, hidden: Tensor, num_heads: int) -> tuple[Tensor, Tensor]:
    """Padding behind an answer, so that its last places are asked as well."""
    more = nn.functional.pad(hidden, (0, 0, 0, num_heads - 1))
    return nn.functional.pad(ids, (0, num_heads - 1), value=IGNORED), more


def _rank(scores: Tensor, labels: Tensor) -> Tensor:
    """Tokens that score above the label, (p,); without a label more than any tree has nodes."""
    own = scores.gather(1, labels.clamp(min=0)[:, None])
    ranks = (scores > own).sum(dim=1)
    return ranks.masked_fill(labels < 0, shapes.MAX_NODES**2)


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
    job = HeadTraining(order.name, recipe, heads, material)
    job.flags = " --begin" if order.begin else ""
    trainer = Trainer(job, recipe, order.folder, order.device, is_compiled=order.is_compiled)
    is_finished = run_trainer(trainer, order.is_resumed and has_checkpoint(order.folder))
    if is_finished:
        write_vocabulary(order)
        job.figures |= measure_drafts(order, material, has_shares=not job.heads.has_static_tree)
        job.write_card(order.folder)
    return is_finished


def write_vocabulary(order: Order) -> None:
    """The tokens worth drafting, beside the weights."""
    tokens = written.frequent_tokens(order.material / "written.jsonl")
    (order.folder / VOCABULARY_FILE).write_text(json.dumps(tokens) + "\n")


def measure_drafts(order: Order, material: Material, *, has_shares: bool) -> dict[str, str]:
    """Greedy decoding of held-out prompts with a tree of 32 nodes: a line a task for the card.

    With `has_shares` the acceptance of each node, over all tasks, is kept with the weights.
    """
    target = Target(models.load(str(order.target), order.device))
    found: dict[str, dict[str, Any]] = {}
    for answers in material.heldout:
        prompts = [ids[:num_prompt].tolist() for num_prompt, ids, _ in answers.rows[: acceptance.NUM_PROMPTS]]
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
