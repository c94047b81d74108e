"""A draft model for a target: pretraining and alignment, with the target's written text and hidden states between.

All is kept below the draft model's folder, so that a stopped run goes on where it was. For a target that is asked as
any chat model is, `narrow_draft` takes its place: a vocabulary like that leaves a small model little else than a table.
"""

from __future__ import annotations

import torch
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from engine.training import corpus, narrow_draft, written
from engine.training.acceptance import write_acceptance
from engine.training.align import Alignment
from engine.training.asked import is_asked_requests
from engine.training.card import write_card
from engine.training.pretrain import Pretraining, encode_epoch
from engine.training.runs import Order, has_checkpoint, len_vocabulary, load_target, run_trainer
from engine.training.trainer import Trainer


def train(order: Order) -> None:
    """`train draft`: pretrained and aligned, or narrow and distilled, as the target is asked."""
    target, tokenizer = load_target(str(order.target), order.device)
    if is_asked_requests(order, tokenizer):
        narrow_draft.train(order)
    else:
        _pretrain_and_align(order, target, tokenizer)


def _pretrain_and_align(order: Order, target: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    documents = corpus.read_folder(order.data)
    first = order.folder / "pretrained"
    if not (first / "config.json").is_file() or (order.is_resumed and not (order.material / "written.jsonl").is_file()):
        job = Pretraining("story-draft", order.recipe("draft", 0.5), documents, tokenizer, len_vocabulary(target))
        if not run_trainer(
            Trainer(job, job.recipe, first, order.device, is_compiled=order.is_compiled), order.is_resumed
        ):
            return
    _align(order, target, tokenizer, documents)


def _align(
    order: Order, target: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, documents: list[corpus.Document]
) -> None:
    recipe = order.recipe("align", 0.5)
    train_documents, heldout = corpus.split_heldout(documents)
    prompt_ids = written.prompts(train_documents, tokenizer, recipe.num_written, order.seed)
    states, context = order.material / "activations", recipe.stages[-1].context
    file = order.material / "written.jsonl"
    texts = written.write(target, tokenizer, prompt_ids, file, seed=order.seed, states=states, context=context)
    draft = LlamaForCausalLM.from_pretrained(order.folder / "pretrained", dtype=torch.float32)
    stream = encode_epoch(heldout, tokenizer, seed=0)
    job = Alignment("story-draft", recipe, draft, target, tokenizer, order.material / "activations", stream)
    if not run_trainer(
        Trainer(job, recipe, order.folder, order.device), order.is_resumed and has_checkpoint(order.folder)
    ):
        return
    before_after = [order.folder / "pretrained", order.folder]
    figures = write_acceptance(str(order.target), before_after, heldout, order.folder / "acceptance.json")
    write_card(order.folder, "story-draft", {**_draft_facts(job, len(texts)), **figures}, has_samples=False)


def _draft_facts(job: Alignment, num_texts: int) -> dict[str, str]:
    shape = job.recipe.shape
    return {
        "parameters": f"{job.model.num_parameters() / 1e6:.2f} M; Llama architecture, {shape.num_layers} layers of "
        f"width {shape.hidden_size}, the target's vocabulary",
        "data": f"pretrained on the target's own data, then aligned by distillation on {num_texts:,} answers that the "
        "target wrote, four of five greedily and the rest at temperature 1",
        "weights": "bf16 safetensors, Apache-2.0",
        "made by": "`python -m engine train draft`",
    }
