"""A draft model for a chat model of a large vocabulary: narrow, and learnt from the target's answers alone.

A Llama model whose tied embeddings begin as the target's own along the directions in which those differ most; so
narrow that its file stays small, though it has a row for every token. It learns the target's distribution over the
tokens that answers hold most often and some others drawn anew for each pass, which keeps the rest from being
preferred ("FR-Spec", arXiv 2502.14856, for the first; sampled softmax, arXiv 1412.2007, for the second).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from engine import models
from engine.target import Target
from engine.training import acceptance
from engine.training.align import Alignment
from engine.training.card import write_card
from engine.training.losses import divergence
from engine.training.material import Material, gather
from engine.training.pretrain import build_model
from engine.training.recipes import Progress, Recipe
from engine.training.runs import Order, has_checkpoint, run_trainer
from engine.training.trainer import Micro, Trainer, num_parameters

RECIPE = "narrow_draft"
NUM_OTHERS = 2048
"""Tokens outside the frequent vocabulary that are scored in each pass."""
EMBEDDING_STD = 0.02
"""Of what embeddings begin with, as Llama's own initialisation has it."""


class NarrowDraft(Alignment):
    """Distillation over part of the vocabulary; a `trainer.Job`."""

    def __init__(self, recipe: Recipe, draft: LlamaForCausalLM, material: Material) -> None:
        stream = torch.cat([ids for answers in material.heldout for _, ids, _ in answers.rows])
        name, folder = f"{material.name}-draft", material.written
        super().__init__(name, recipe, draft, material.target, material.tokenizer, folder, stream)
        self.material = material
        self.output = cast(nn.Linear, material.target.get_output_embeddings()).weight
        everything = torch.arange(material.vocab_size, device=self.output.device)
        self.frequent = everything if material.vocabulary is None else material.vocabulary
        self.others = everything[~torch.isin(everything, self.frequent)]

    def batches(self, progress: Progress) -> Iterator[list[Micro]]:
        """The material's, of as many tokens as the recipe says: few steps of a whole shard teach it little."""
        return self.material.batches(self.recipe, progress)

    def loss(self, network: Any, micro: Micro) -> Tensor:
        """Mean KL(target ‖ draft) in nats over the tokens that are scored in this pass, padding left out."""
        ids, hidden = micro
        is_text = ids[:, 1:] >= 0
        scored = self._scored().to(ids.device)
        states = network.model(input_ids=ids[:, :-1].clamp(min=0), use_cache=False).last_hidden_state[is_text]
        given = states @ _embeddings(self.model)[scored].to(states.dtype).mT
        wanted = hidden[is_text].to(self.output.dtype) @ self.output[scored].mT
        return divergence(given, wanted, torch.ones(len(given), dtype=torch.bool, device=ids.device))

    def _scored(self) -> Tensor:
        drawn = torch.randperm(len(self.others))[:NUM_OTHERS]
        return torch.cat((self.frequent, self.others[drawn]))


@torch.no_grad()
def begun_with(draft: LlamaForCausalLM, table: Tensor) -> LlamaForCausalLM:
    """The draft model with tied embeddings (v, w) that are the target's `table (v, h)` along its main directions."""
    embeddings = _embeddings(draft)
    centred = table.float() - table.float().mean(dim=0)
    directions = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, -embeddings.shape[1] :]
    projected = centred @ directions
    embeddings.copy_(projected * (EMBEDDING_STD / projected.std()))
    return draft


def _embeddings(draft: LlamaForCausalLM) -> Tensor:
    return cast(nn.Embedding, draft.get_input_embeddings()).weight


def train(order: Order) -> None:
    """`train draft` for a chat model: answers gathered as for its other drafters, distilled, measured."""
    recipe = order.recipe(RECIPE)
    material = gather(order, recipe)
    torch.manual_seed(recipe.seed)
    draft = begun_with(build_model(recipe.shape, material.tokenizer, material.vocab_size), material.input_table)
    job = NarrowDraft(recipe, draft, material)
    trainer = Trainer(job, recipe, order.folder, order.device, is_compiled=order.is_compiled)
    if run_trainer(trainer, order.is_resumed and has_checkpoint(order.folder)):
        figures = _acceptance(order, material, order.folder / "acceptance.json")
        write_card(order.folder, job.name, {**_facts(job, material), **figures}, has_samples=False)


def _acceptance(order: Order, material: Material, path: Path) -> dict[str, str]:
    """How deep its chains are accepted on held-out requests of each kind: to `path`, and a line a kind for the card."""
    target = Target(models.load(str(order.target), order.device))
    found = {
        answers.task: acceptance.survival(
            target, [ids[:n].tolist() for n, ids, _ in answers.rows[: acceptance.NUM_PROMPTS]], str(path.parent)
        )
        for answers in material.heldout
    }
    path.write_text(json.dumps(found, indent=1) + "\n")
    begin = f"drafts 1 to {acceptance.DEPTH} survive in"
    return {f"acceptance on {t}": f"{begin} {acceptance.survived(fs)} of greedy steps" for t, fs in found.items()}


def _facts(job: NarrowDraft, material: Material) -> dict[str, str]:
    shape = job.recipe.shape
    return {
        "target": f"{material.name}, weights {material.identity()['target_fingerprint']}",
        "parameters": f"{num_parameters(job.model) / 1e6:.2f} M; Llama architecture, {shape.num_layers} layers of "
        f"width {shape.hidden_size}, the target's vocabulary, tied embeddings begun with the target's main directions",
        "data": material.told,
        "weights": "bf16 safetensors, Apache-2.0",
        "made by": "`python -m engine train draft`",
    }
