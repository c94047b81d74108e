"""Example prompts by task, and which task a prompt is of."""

from __future__ import annotations

from scripted import ScriptedDevice, ScriptedRecorder

from engine.config import GenerationConfig
from specviz.decoding.device import Request
from specviz.decoding.session import Sessions
from specviz.explaining.examples import examples, task_of
from specviz.pages import files


def test_examples_cover_the_tasks_with_unique_ids() -> None:
    examples = files.examples()
    assert len({example.id for example in examples}) == len(examples)
    assert {example.task for example in examples} == {
        "Tell a story",
        "Retell with changes",
        "Repeat",
        "Repair",
        "Find and list",
        "Chat",
    }


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
