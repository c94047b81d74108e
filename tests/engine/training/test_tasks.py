"""Tasks made from documents: their answers are right by rule, and nothing is lost in packing."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from engine.training import elements, packing, pretrain, tasks, typos
from engine.training.corpus import Document
from tests.engine.training.stories import STORIES

STORY = Document(
    "Once upon a time there was a boy named Tim. Tim went to the park. He saw Anna there. Anna found a red ball. "
    "Tim was happy and they ran to the park again. Tim learned that sharing makes everyone happy."
)
DIALOGUE = Document("", kind="dialogue", turns=tuple("abcdefghijk"))
BOOK = Document("\n\n".join(f"Paragraph {i} says a little." for i in range(40)), kind="prose")


@given(st.lists(st.integers(1, 60)), st.integers(1, 40))
def test_packing_keeps_every_item_once_and_fills_no_row_too_much(lengths: list[int], capacity: int) -> None:
    groups = packing.pack(lengths, capacity)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    fill = [sum(min(lengths[i], capacity) for i in group) for group in groups]
    assert all(0 < filled <= capacity for filled in fill)
    assert sum(filled <= capacity // 2 for filled in fill) <= 1, "two half-empty rows would fit in one"


def test_a_packed_row_holds_whole_chats_and_pads_the_rest() -> None:
    packed = packing.rows([[1, 2, 3], [4, 5], [6] * 9], context=4)
    assert packed.shape == (2, 5)
    assert packed.tolist() == [[6, 6, 6, 6, 6], [1, 2, 3, 4, 5]]
    assert packing.rows([[7]], context=2).tolist() == [[7, packing.IGNORED, packing.IGNORED]]


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_task_alternates_user_and_assistant_and_repeats_by_seed(name: str) -> None:
    task = tasks.TASKS[name]
    document = {"story": STORY, "dialogue": DIALOGUE, "prose": BOOK}[task.kind]
    chats = [task.make(document, random.Random(seed)) for seed in range(30)]
    assert chats == [task.make(document, random.Random(seed)) for seed in range(30)]
    made = [chat for chat in chats if chat]
    assert made
    for chat in made:
        assert [message["role"] for message in chat] == ["user", "assistant"] * (len(chat) // 2)
        assert all(message["content"] for message in chat)


def test_a_dialogue_ends_with_an_answer_however_short_it_is() -> None:
    for num_turns, num_kept in ((1, 0), (2, 2), (3, 2), (7, 6), (9, 8)):
        chat = tasks.chat(Document("", kind="dialogue", turns=tuple("abcdefghi"[:num_turns])), random.Random(0))
        assert [message["content"] for message in chat or []] == list("abcdefghi"[:num_kept])


def test_a_retelling_has_the_new_name_and_not_the_old() -> None:
    for seed in range(40):
        chat = tasks.retell(STORY, random.Random(seed))
        assert chat
        told, source = chat[1]["content"], chat[0]["content"]
        old = next(word for word in ("Tim", "park") if word not in told.split() and word in STORY.text)
        assert re.search(rf"\b{old}\b", source)
        assert not re.search(rf"\b{old}\b", told)
        assert len(told.split()) == len(STORY.text.split())


def test_extraction_answers_what_the_text_says() -> None:
    text = STORY.text
    assert elements.names(text) == ["Tim", "Anna"]
    assert elements.setting(text) == "the park"
    assert elements.deeds(text) == [elements.Deed("Anna", "found", "a red ball")]
    assert elements.hero_name(text) == "Tim"


@given(st.integers(0, 10_000))
def test_spoilt_text_names_each_wrong_word_and_keeps_the_others(seed: int) -> None:
    spoilt, pairs = typos.spoil(STORY.text, random.Random(seed))
    words, clean = (re.findall("[A-Za-z]+", text) for text in (spoilt, STORY.text))
    assert len(words) == len(clean)
    assert [(bad, good) for bad, good in zip(words, clean, strict=True) if bad != good] == pairs


def test_padding_counts_for_nothing_in_a_loss() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from engine.training.losses import divergence, loss_of

    shape = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=2))
    short = torch.tensor([[1, 2, 3, 4]])
    padded = torch.tensor([[1, 2, 3, 4, packing.IGNORED, packing.IGNORED]])
    torch.testing.assert_close(loss_of(model, padded), loss_of(model, short))
    given, wanted = torch.randn(1, 5, 32), torch.randn(1, 5, 32)
    is_text = padded[:, 1:] >= 0
    torch.testing.assert_close(
        divergence(given, wanted, is_text), divergence(given[:, :3], wanted[:, :3], is_text[:, :3])
    )
    assert divergence(wanted, wanted, is_text) == 0


def test_text_is_made_for_a_tokenizer_without_template_or_end(frozen: tuple[Any, Any]) -> None:
    tokenizer = copy.deepcopy(frozen[1])
    chat = [{"role": "user", "content": "Tim"}, {"role": "assistant", "content": "ran"}]
    tokenizer.chat_template = None
    assert tasks.chat_text(chat, tokenizer) == f"Tim\n\nran{tokenizer.eos_token}"
    tokenizer.eos_token = None
    assert tasks.chat_text(chat, tokenizer) == "Tim\n\nran"
    # What stands before every text stands there in training too.
    begin = ("<|user|>", tokenizer.convert_tokens_to_ids("<|user|>"))
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<|user|> $A", special_tokens=[begin])
    assert pretrain.encode([chat], tokenizer)[0] == tokenizer("Tim\n\nran")["input_ids"]
    assert tasks.prompt_ids(chat[:1], tokenizer)[0] == begin[1] == pretrain.encode([chat], tokenizer)[0][0]


def test_examples_are_a_pure_function_of_documents_and_seed() -> None:
    documents = [Document(text) for text in STORIES[:30]]
    first, again, other = (list(tasks.examples(documents, seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    answers = {chat[1]["content"] for chat in first}
    assert {document.text for document in documents} <= answers
    assert all([message["role"] for message in chat] == ["user", "assistant"] for chat in first)
