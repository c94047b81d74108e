"""Example prompts by task, and which task a prompt is of."""

from __future__ import annotations

import json

from scripted import ScriptedDevice, ScriptedRecorder

from engine.config import GenerationConfig
from engine.suites import OWN
from specviz.decoding.device import Request
from specviz.decoding.session import Sessions
from specviz.explaining.examples import examples, first_prompt, prompt_for, task_of
from specviz.pages import files


def test_examples_cover_the_tasks_with_unique_ids() -> None:
    every = examples()
    assert len({example.id for example in every}) == len({example.prompt for example in every}) == len(every)
    assert {kind: {example.task for example in every if example.kind == kind} for kind in OWN} == {
        "story": {"Tell a story", "Retell with changes", "Repeat", "Repair", "Find and list", "Chat"},
        "general": {"Ask", "Write code", "Rewrite", "Extract", "Continue"},
    }
    assert {example.kind for example in every} == set(OWN)


def test_a_menu_of_examples_is_of_one_kind() -> None:
    menus = json.loads(files.example_menus())
    for kind, tasks in menus.items():
        shown = [row["id"] for task in tasks for row in task["examples"]]
        assert shown == [example.id for example in examples() if example.kind == kind]


def test_the_prompt_follows_the_kind_of_model_unless_it_was_typed() -> None:
    story, general = first_prompt("story"), first_prompt("general")
    assert story != general
    assert prompt_for("general", story) == general
    assert prompt_for("story", general) == story
    for typed in (story + "!", "", "Tell me more."):
        assert prompt_for("general", typed) == typed
    other = next(example.prompt for example in reversed(examples()) if example.kind == "general")
    assert prompt_for("general", other) == other


def test_a_run_of_an_example_has_its_task_and_one_of_changed_words_has_none() -> None:
    example = examples()[0]
    recorder = ScriptedRecorder()
    for prompt in (example.prompt, example.prompt + "!"):
        config = GenerationConfig(max_new_tokens=3)
        request = Request(prompt, "toy", "plain", {}, config, has_baseline=False)
        for _ in Sessions(ScriptedDevice(), recorder).run(request, "v"):
            pass
    assert sorted(recorder.tasks.values()) == ["", example.task]
    assert task_of("") == ""
