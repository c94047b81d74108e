"""Prompts and conversations to token ids: templates, broken ones, any text."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from model_folders import load, refusal

from engine.models import thinking_switch

SWITCHED = (
    "{%- for m in messages %}{{ m.content }}|{% endfor %}"
    "{%- if enable_thinking is defined and not enable_thinking %}<quiet>{% endif %}"
)


def test_a_prompt_becomes_a_user_message_where_there_is_a_chat_template(model_folder: Path) -> None:
    found = load(model_folder)
    assert found.tokenizer.decode(found.encode("Hi.")) == "<|user|>Hi.<|assistant|>"


def test_a_conversation_is_encoded_as_the_template_says(model_folder: Path) -> None:
    found = load(model_folder)
    said = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": ""}, {"role": "user", "content": "Go"}]
    assert found.encode(said[:1]) == found.encode("Hi.")
    assert found.tokenizer.decode(found.encode(said)) == "<|user|>Hi.<|assistant|><|end|><|user|>Go<|assistant|>"
    said[2]["content"] = "\ud800"
    assert found.tokenizer.decode(found.encode(said)).endswith("<|user|>?<|assistant|>")
    for unusable in ([], [{"role": "user", "content": " "}]):
        assert "empty" in refusal(lambda unusable=unusable: found.encode(unusable))


def test_a_conversation_without_a_template_is_parted_by_blank_lines(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    found = load(tmp_path / "base")
    said = [{"role": "user", "content": "One."}, {"role": "assistant", "content": "Two."}]
    assert (
        found.tokenizer.decode(found.encode([*said, {"role": "user", "content": "Three."}])) == "One.\n\nTwo.\n\nThree."
    )


@pytest.mark.parametrize(
    "template",
    ["{% if %}", "{{ raise_exception('x') }}", "{{ 1 + 'a' }}", "{{ nothing.at.all }}", "{% for %}", "{{ 1 / 0 }}"],
)
def test_a_broken_template_is_refused_and_the_model_named(template: str, folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(template)
    found = load(folder)
    assert f"The chat template of {folder} cannot be used" in refusal(lambda: found.encode("Hi."))


@pytest.mark.parametrize("prompt", ["", " ", "\n\t"])
def test_an_empty_prompt_is_refused(prompt: str, model_folder: Path) -> None:
    assert "empty" in refusal(lambda: load(model_folder).encode(prompt))


def test_any_text_can_be_a_prompt(model_folder: Path) -> None:
    found = load(model_folder)
    for prompt in ("\ud800", "\u202eabc", "😀", "<img src=x onerror=alert(1)>", "${x}", "a\x00b"):
        assert found.encode(prompt)


def test_the_thinking_switch_is_handed_to_the_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(SWITCHED)
    found = load(folder)
    assert thinking_switch(found.tokenizer) == "enable_thinking"
    assert found.decode(found.encode("Hi.", thinks=False)) == "Hi.|<quiet>"
    assert found.decode(found.encode("Hi.", thinks=True)) == found.decode(found.encode("Hi.")) == "Hi.|"


@pytest.mark.parametrize(
    ("template", "switch"),
    [
        ("{% if not thinking is defined %}x{% endif %}", "thinking"),
        ("{%- if messages[0].thinking %}x{% endif %}", None),
        ("{% if x == 'enable_thinking' %}x{% endif %} if thinking", None),
    ],
)
def test_only_a_name_that_is_asked_for_is_a_switch(template: str, switch: str | None, folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(template)
    assert thinking_switch(load(folder).tokenizer) == switch


def test_a_switch_that_is_not_there_cannot_be_turned(model_folder: Path) -> None:
    said = refusal(lambda: load(model_folder).encode("Hi.", thinks=True))
    assert f"The chat template of {model_folder} has no switch for thinking" in said
