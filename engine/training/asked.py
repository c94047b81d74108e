"""What a target is asked, so that drafters learn from its answers: its own tasks, or requests of many kinds.

Some of each task or kind are held out. Knows prompts; nothing of answers, states or drafters.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine import models, suites
from engine.training import acceptance, corpus, requests, tasks, written
from engine.training.recipes import Recipe
from engine.training.runs import Order

NUM_HELDOUT = 20
"""Held-out prompts of each task or kind that the target answers."""


@dataclass(frozen=True)
class Asked:
    """What the target is asked, as token ids up to where its answers begin."""

    prompts: list[list[int]]
    heldout: list[tuple[str, list[int]]]
    """Prompts that nothing is learnt from, each with its task."""


def is_asked_requests(order: Order, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the target is asked as any chat model is, and not the story model's tasks."""
    if order.texts == "auto":
        return bool(tokenizer.chat_template) and order.target_name != models.STORY
    return order.texts == "requests"


def practised(
    order: Order,
    recipe: Recipe,
    target: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: list[corpus.Document],
    heldout: list[corpus.Document],
) -> Asked:
    """The tasks that the story model was trained on."""
    max_tokens = models.context_length(target.config.get_text_config()) - written.MAX_NEW_TOKENS
    asked = [
        (task, prompt)
        for task in acceptance.TASKS
        for prompt in acceptance.heldout_prompts(tokenizer, task, heldout, max_tokens, NUM_HELDOUT)
    ]
    return Asked(written.prompts(documents, tokenizer, recipe.num_written, order.seed), asked)


def requested(
    order: Order,
    recipe: Recipe,
    target: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: list[corpus.Document],
) -> Asked:
    """Requests of many kinds, kept in a file; the first of each kind are held out."""
    path = order.material / "requests.jsonl"
    if not path.is_file():
        own = requests.asked_by(target, tokenizer, round(recipe.num_written * requests.OWN_SHARE), order.seed)
        found = requests.gather(order.data, documents, own, recipe.num_written, order.seed)
        requests.save(requests.apart(found, _suite_texts()), path)
    most = models.context_length(target.config.get_text_config()) - written.MAX_NEW_TOKENS
    seen: Counter[str] = Counter()
    prompts: list[tuple[str, list[int]]] = []
    kept: list[tuple[str, list[int]]] = []
    for request in requests.load(path):
        ids = tasks.prompt_ids([{"role": "user", "content": request.text}], tokenizer)
        seen[request.kind] += 1
        if len(ids) <= min(most, written.MAX_PROMPT_TOKENS):
            (kept if seen[request.kind] <= NUM_HELDOUT else prompts).append((request.kind, ids))
    return Asked(written.batched_by_length([ids for _, ids in prompts], order.seed), kept)


def _suite_texts() -> list[str]:
    return [text for name in suites.names() for question in suites.questions(name) for text in question.turns]
