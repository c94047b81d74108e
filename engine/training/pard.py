"""PARD: a draft model learns to fill masks behind the text, so that one pass of it drafts K tokens (arXiv 2504.18583).

The model stays an ordinary causal one, with one token more: the mask, the same at every place. A row of text is read
once; behind some of its places, the roots, stand masks that see the text up to the root and the masks between. Mask d
foresees token d + 1 behind its root. Conditional drop (COD, Section 3.2): of the roots' d-th masks a share
max(0.7^d, 0.2) is kept, each with all that stand before it.

Choices of ours: roots are places of answers; cross-entropy with the target's distribution, and a fifth with the text,
where the paper has the text alone; the trainer's schedule and Muon.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from engine import models
from engine.errors import BadInput
from engine.models.fingerprint import fingerprint_of_vocabulary
from engine.models.presets import draft_of
from engine.target import Target
from engine.training import acceptance
from engine.training.align import Alignment
from engine.training.card import write_card
from engine.training.heads import labels_of
from engine.training.losses import soft_cross_entropy
from engine.training.material import Material, gather
from engine.training.packing import IGNORED
from engine.training.recipes import Progress, Recipe
from engine.training.runs import Order, has_checkpoint, load_target, run_trainer
from engine.training.steps import at
from engine.training.trainer import Micro, Trainer, num_parameters

NUM_DRAFTED = 8
"""K: tokens that one pass learns to foresee, the first of them behind the text itself."""
KEPT, FEWEST = 0.7, 0.2
"""Of each mask before, the share that is followed by another; of roots, the least share that has so many."""
TEXT_WEIGHT = 0.2
"""Weight of the text's own token beside the target's distribution."""
ROUND = 16
"""Tables are filled up to a multiple of this many rows."""
EVALUATED_EVERY = 8
"""Of held-out places, one of so many is a root."""


@dataclass(frozen=True)
class Rows:
    """What a pass reads of b texts: n rows each, those of the text first."""

    roots: Tensor
    """(b, n): the last token of text that a row may look at; of a row of text itself."""
    depths: Tensor
    """(b, n): 0 for text, d for the d-th mask behind the root."""

    @property
    def positions(self) -> Tensor:
        """(b, n): where a row stands; it foresees the token behind."""
        return self.roots + self.depths

    @property
    def sees(self) -> Tensor:
        """(b, 1, n, n): a row sees the text up to its root, and of that root's masks those up to itself."""
        root, other = self.roots[:, :, None], self.roots[:, None]
        depth, other_depth = self.depths[:, :, None], self.depths[:, None]
        return (((other_depth == 0) & (other <= root)) | ((other == root) & (other_depth <= depth)))[:, None]

    def read(self, ids: Tensor, mask_id: int) -> Tensor:
        """(b, n) tokens of these rows, of texts (b, t + 1) with padding below zero."""
        return torch.where(self.depths > 0, mask_id, ids.gather(1, self.roots).clamp(min=0))

    def labels(self, labels: Tensor) -> Tensor:
        """(b, n): what each row is asked, of `labels_by_root`."""
        return labels[self.depths, torch.arange(len(self.roots), device=labels.device)[:, None], self.roots]


def rows_of(num_text: int, roots: Tensor, nums: list[int]) -> Rows:
    """Rows of t tokens of text, and behind them masks: the d-th of the first nums[d - 1] of `roots (b, r)`."""
    text = torch.arange(num_text, device=roots.device).expand(len(roots), -1)
    masked = [(roots[:, :num], torch.full_like(roots[:, :num], depth)) for depth, num in enumerate(nums, start=1)]
    found, depths = zip((text, torch.zeros_like(text)), *masked, strict=True)
    return Rows(torch.cat(found, dim=1), torch.cat(depths, dim=1))


def labels_by_root(ids: Tensor, end_ids: tuple[int, ...], begin_ids: tuple[int, ...]) -> Tensor:
    """(K, b, t): of (b, t + 1) ids the token d + 1 behind each root; IGNORED beyond an answer and its end."""
    labels = labels_of(ids, NUM_DRAFTED, end_ids, begin_ids)
    return nn.functional.pad(labels, (1, NUM_DRAFTED - 1), value=IGNORED)


def drawn(labels: Tensor, generator: torch.Generator) -> Rows:
    """COD: roots (b, r) in random order, those that are asked first, and of them ever fewer to each next mask."""
    num_text = labels.shape[-1]
    is_asked = labels[0, :, : num_text - NUM_DRAFTED + 1] != IGNORED  # masks stand within the row
    chance = torch.rand(is_asked.shape, generator=generator).to(labels.device)
    num = max(1, int(is_asked.sum(dim=1).max()))
    roots = (chance - is_asked.float()).argsort(dim=1)[:, :num]
    kept = [max(1, round(num * max(KEPT**depth, FEWEST))) for depth in range(1, NUM_DRAFTED)]
    return rows_of(num_text, roots, kept)


class MaskFilling(Alignment):
    """A draft model that reads masks; a `trainer.Job`."""

    def __init__(self, recipe: Recipe, draft: LlamaForCausalLM, material: Material) -> None:
        stream = torch.cat([ids for answers in material.heldout for _, ids, _ in answers.rows])
        name, folder = f"{material.name}-pard", material.written
        super().__init__(name, recipe, draft, material.target, material.tokenizer, folder, stream)
        self.material, self._drawing = material, torch.Generator()
        self._mask_id = int(draft.config.pard_token)

    def batches(self, progress: Progress) -> Iterator[list[Micro]]:
        """The material's, each with draws of its own, which a resumed run repeats."""
        for batch in self.material.batches(self.recipe, progress):
            self._drawing.manual_seed(self.recipe.seed * 1_000_003 + progress.num_steps)
            yield batch

    def loss(self, network: nn.Module, micro: Micro) -> Tensor:
        """Mean cross-entropy in nats over text and masks that are asked."""
        ids, hidden = micro
        labels = self._labels(ids)
        rows = drawn(labels, self._drawing)
        with torch.no_grad():
            probs = self._target_logits(hidden).softmax(dim=-1)
        logits = self._scores(network, ids, rows)
        return soft_cross_entropy(logits, at(probs, rows.positions), rows.labels(labels), TEXT_WEIGHT)

    def _labels(self, ids: Tensor) -> Tensor:
        return labels_by_root(ids, self.material.end_ids, self.material.begin_ids)

    def _scores(self, network: Any, ids: Tensor, rows: Rows) -> Tensor:
        """(b, n, v) of the target's tokens."""
        found: Tensor = network(
            input_ids=rows.read(ids, self._mask_id),
            attention_mask=rows.sees,
            position_ids=rows.positions,
            use_cache=False,
        ).logits
        return found[..., : self.material.vocab_size]

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Of held-out greedy answers: how often the likeliest first and last token are right, and tokens a step."""
        right = torch.cat([found for answers in self.material.heldout for found in map(self._right, answers.rows)])
        share = right.float().mean(dim=0)
        tokens = 1 + right.cumprod(dim=1).sum(dim=1).float().mean()
        return {"first_token": share[0].item(), "last_token": share[-1].item(), "tokens_a_step": tokens.item()}

    def _right(self, row: tuple[int, Tensor, Tensor]) -> Tensor:
        """(r, K): whether each of the K likeliest tokens is the answer's, behind some of its places."""
        num_prompt, ids, _ = row
        ids = ids[None].to(self.model.device)
        labels = self._labels(ids)
        num_text = labels.shape[-1]
        places = torch.arange(num_prompt, num_text, EVALUATED_EVERY, device=ids.device)
        roots = places[labels[-1, 0, places] != IGNORED][None]
        rows = rows_of(num_text, roots, [roots.shape[1]] * (NUM_DRAFTED - 1))
        is_right = (self._scores(self.model, ids, rows).argmax(dim=-1) == rows.labels(labels))[0]
        masks = is_right[num_text:].view(NUM_DRAFTED - 1, roots.shape[1])
        return torch.cat((is_right[roots], masks)).mT.long()


def with_mask(draft: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """The draft model with a mask as its config's `pard_token`: the first row behind its tokenizer's tokens.

    Where its table ends there, it gets rows more, which begin as the mean of the others.
    """
    if getattr(draft.config, "pard_token", None) is not None:
        return draft
    mask_id = max(tokenizer.get_vocab().values()) + 1
    table = cast(nn.Embedding, draft.get_input_embeddings()).weight
    if mask_id >= len(table):
        mean, num_rows = table.detach().mean(dim=0), len(table)
        draft.resize_token_embeddings(mask_id + 1, pad_to_multiple_of=ROUND, mean_resizing=False)
        with torch.no_grad():
            cast(nn.Embedding, draft.get_input_embeddings()).weight[num_rows:] = mean
    draft.config.pard_token, draft.config.spd_type = mask_id, "pard"
    return draft


def begun(order: Order, tokenizer: PreTrainedTokenizerBase) -> tuple[str, LlamaForCausalLM]:
    """The draft model to adapt, its name and itself: the one that was named, or the target's own. Raises BadInput."""
    source = str(order.begin) if order.begin else draft_of(str(order.target))
    if source is None:
        raise BadInput(f"No draft model is known for {order.target}; name the one to adapt with --begin FOLDER.")
    draft, own = load_target(source, order.device)
    if fingerprint_of_vocabulary(own) != fingerprint_of_vocabulary(tokenizer):
        raise BadInput(f"{source} has another vocabulary than {order.target}; name a draft model that shares it.")
    trained = cast(PreTrainedModel, draft.float().requires_grad_(True))
    return source, with_mask(cast(LlamaForCausalLM, trained), tokenizer)


def train(order: Order) -> None:
    """What `train pard` does: the target's text, a draft model that learns masks on it, figures beside what it was."""
    recipe = order.recipe("pard")
    material = gather(order, recipe)
    source, draft = begun(order, material.tokenizer)
    torch.manual_seed(recipe.seed)
    job = MaskFilling(recipe, draft, material)
    trainer = Trainer(job, recipe, order.folder, order.device, is_compiled=order.is_compiled)
    if run_trainer(trainer, order.is_resumed and has_checkpoint(order.folder)):
        figures = _acceptance(order, material, source, order.folder)
        write_card(order.folder, job.name, {**_facts(job, source), **figures}, has_samples=False)


def _acceptance(order: Order, material: Material, source: str, folder: Path) -> dict[str, str]:
    """How deep its chains are accepted on held-out requests, and those of what it was: to a file, and for the card."""
    target = Target(models.load(str(order.target), order.device))
    found: dict[str, Any] = {}
    for answers in material.heldout:
        prompts = [ids[:num].tolist() for num, ids, _ in itertools.islice(answers.rows, acceptance.NUM_PROMPTS)]
        before = acceptance.survival(target, prompts, source, depth=NUM_DRAFTED)
        after = acceptance.survival(target, prompts, str(folder), "pard", NUM_DRAFTED)
        found[answers.task] = {"before": before, "after": after}
    (folder / "acceptance.json").write_text(json.dumps(found, indent=1) + "\n")
    return {
        f"acceptance on {task}": f"drafts 1 to {NUM_DRAFTED} survive in {acceptance.survived(figures['after'])} of "
        f"greedy steps; of {Path(source).name}, a pass for each draft, in {acceptance.survived(figures['before'])}"
        for task, figures in found.items()
    }


def _facts(job: MaskFilling, source: str) -> dict[str, str]:
    config, material = job.model.config, job.material
    return {
        "target": f"{material.name}, weights {material.identity()['target_fingerprint']}",
        "parameters": f"{num_parameters(job.model) / 1e6:.2f} M; {Path(source).name} with a mask, token "
        f"{config.pard_token}; {NUM_DRAFTED} tokens a pass",
        "data": material.told,
        "weights": "bf16 safetensors, Apache-2.0",
        "made by": "`python -m engine train pard`",
    }
