"""How good a story model is: held-out loss by task, repetition, and answers checked by rule.

Every answer is decoded greedily by the engine's plain method from requests that held-out documents give.
Knows a target, documents and what a right answer is; writes figures, no prose.
"""

from __future__ import annotations

import difflib
import itertools
import math
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine import drafters
from engine.config import GenerationConfig
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target
from engine.training import elements, tasks
from engine.training.corpus import Document
from engine.training.pretrain import encode
from engine.training.suites import suite_rows

STORY_TOKENS = 200
ANSWER_TOKENS = 320
LEAK_WORDS = 13


@dataclass(frozen=True)
class Answered:
    """A request, the answer its document gives, and the model's."""

    prompt: str
    expected: str
    given: str


def held_out_losses(target: Target, documents: Sequence[Document], num_chats: int = 60) -> dict[str, float]:
    """Mean next-token loss in nats over the answers of each task, prompts given."""
    return {name: _answer_loss(target, _chats(name, documents, num_chats)) for name in tasks.TASKS}


def _chats(name: str, documents: Sequence[Document], limit: int) -> list[list[tasks.Message]]:
    rng, task = random.Random(11), tasks.TASKS[name]
    made = (task.make(document, rng) for document in documents if document.kind == task.kind)
    return [chat for chat in made if chat][:limit]


@torch.inference_mode()
def _answer_loss(target: Target, chats: Sequence[list[tasks.Message]]) -> float:
    tokenizer, total, count = target.facts.tokenizer, 0.0, 0
    for chat in chats:
        prompt = tasks.prompt_ids(chat[:-1], tokenizer)
        (whole,) = encode([chat], tokenizer)
        answer = whole[len(prompt) : target.max_context]
        if len(prompt) < 2 or not answer:
            continue
        target.prefill(prompt[:-1])
        logits = _score_chain(target, [prompt[-1], *answer[:-1]])
        total += float(torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum"))
        count += len(answer)
    return total / count if count else math.nan


def _score_chain(target: Target, ids: list[int]) -> torch.Tensor:
    """Logits (len(ids), v) behind each token of a chain that follows the prefilled context, in blocks."""
    blocks = []
    for start in range(0, len(ids), 128):
        block = ids[start : start + 128]
        blocks.append(target.runner.extend(block, range(-1, len(block) - 1)).logits.float())
        target.runner.commit(range(len(block)))
    return torch.cat(blocks)


def answers(target: Target, suite: str, documents: list[Document], limit: int) -> list[Answered]:
    """Greedy answers to a suite's requests."""
    max_new_tokens = STORY_TOKENS if suite == "story" else ANSWER_TOKENS
    return [
        Answered(row["prompt"], row["answer"], decode(target, row["prompt"], max_new_tokens))
        for row in suite_rows(suite, documents, limit)
    ]


def decode(target: Target, prompt: str, max_new_tokens: int, temperature: float = 0.0, seed: int = 1) -> str:
    """The text that plain decoding gives."""
    config = GenerationConfig(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    events = generate(target, drafters.create("plain", {}, target), prompt, config)
    return "".join(token.text for event in events if isinstance(event, Stepped) for token in event.emitted)


def restored_words(found: Sequence[Answered]) -> float:
    """Share of the corrupted words that the answer has right, in their order; in [0, 1]."""
    right = total = 0
    for answer in found:
        spoilt = _words(answer.prompt.split("\n\n", 1)[1])
        clean, given = _words(answer.expected), _words(answer.given)
        wrong = [i for i, (bad, good) in enumerate(zip(spoilt, clean, strict=True)) if bad != good]
        total += len(wrong)
        right += len(_matched(clean, given) & set(wrong))
    return right / total if total else math.nan


def _matched(clean: list[str], given: list[str]) -> set[int]:
    """Places of `clean` whose word the answer has, in order; a dropped or added word moves the others."""
    blocks = difflib.SequenceMatcher(None, clean, given, autojunk=False).get_matching_blocks()
    return {i for block in blocks for i in range(block.a, block.a + block.size)}


def renamed(found: Sequence[Answered]) -> float:
    """Share of retellings by a new hero in which the new name is used and the old one is gone."""
    checked = [_is_renamed(answer) for answer in found if _hero_swap(answer)]
    return sum(checked) / len(checked) if checked else math.nan


def _hero_swap(answer: Answered) -> tuple[str, str] | None:
    """(old, new) of a retelling by a new hero; None where the place changes."""
    source = answer.prompt.split("\n\n", 1)[1]
    gone = set(_words(source)) - set(_words(answer.expected))
    new = set(_words(answer.expected)) - set(_words(source))
    old_names, new_names = [w for w in gone if w[0].isupper()], [w for w in new if w[0].isupper()]
    return (old_names[0], new_names[0]) if len(old_names) == len(new_names) == 1 else None


def _is_renamed(answer: Answered) -> bool:
    swap = _hero_swap(answer)
    assert swap is not None
    words = _words(answer.given)
    return swap[1] in words and swap[0] not in words


def exact(found: Sequence[Answered]) -> float:
    """Share of answers that are the expected text, case and outer spaces aside."""
    hits = [answer.given.strip().lower() == answer.expected.strip().lower() for answer in found]
    return sum(hits) / len(hits) if hits else math.nan


def has_loop(text: str) -> bool:
    """Whether a sentence of four words or more stands three times in the text, or twice in a row."""
    said = [sentence.strip().lower() for sentence in elements.sentences(text)]
    long = {sentence for sentence in said if len(sentence.split()) >= 4}
    in_a_row = any(one == after and one in long for one, after in itertools.pairwise(said))
    return in_a_row or any(said.count(sentence) >= 3 for sentence in long)


def distinct(texts: Iterable[str], n: int) -> float:
    """Different n-grams of words ÷ all of them, over all texts together."""
    grams = [gram for text in texts for gram in _grams(_words(text), n)]
    return len(set(grams)) / len(grams) if grams else math.nan


def repetition(texts: Iterable[str], n: int = 4) -> float:
    """Mean over texts of the share of n-grams that stood in the same text before."""
    shares = [1 - len(set(grams)) / len(grams) for text in texts if (grams := _grams(_words(text), n))]
    return sum(shares) / len(shares) if shares else math.nan


def leaked(heldout: Sequence[Document], train: Sequence[Document]) -> dict[str, float]:
    """Held-out stories against training stories: exact copies, and the share of their 13-word runs seen there."""
    seen = {gram for d in train if d.kind == "story" for gram in _grams(_words(d.text.lower()), LEAK_WORDS)}
    texts = {d.text for d in train}
    shares = []
    for document in heldout:
        grams = _grams(_words(document.text.lower()), LEAK_WORDS)
        if document.kind == "story" and grams:
            shares.append(sum(gram in seen for gram in grams) / len(grams))
    return {
        "exact copies": float(sum(d.text in texts for d in heldout)),
        "runs of 13 words also in training": sum(shares) / max(1, len(shares)),
        "stories with over half of their runs in training": sum(s > 0.5 for s in shares) / max(1, len(shares)),
    }


MEASURES: dict[str, tuple[str, Callable[[Sequence[Answered]], float]]] = {
    "repair: corrupted words restored": ("repair", restored_words),
    "retell: new name used, old one gone": ("retell", renamed),
    "extract: exact match": ("extract", exact),
    "list: exact match": ("list", exact),
    "repeat: exact match": ("repeat", exact),
}


def measure(target: Target, documents: list[Document], limit: int) -> dict[str, Any]:
    """All figures of one model."""
    stories = [answer.given for answer in answers(target, "story", documents, limit)]
    return {
        "loss": held_out_losses(target, documents),
        "answers": {name: check(answers(target, suite, documents, limit)) for name, (suite, check) in MEASURES.items()},
        "stories": {
            "without a loop of sentences (greedy, 200 tokens)": 1 - sum(map(has_loop, stories)) / len(stories),
            "distinct-1": distinct(stories, 1),
            "distinct-2": distinct(stories, 2),
            "repeated 4-grams": repetition(stories),
        },
    }


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+", text)


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
