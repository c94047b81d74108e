"""Nobody can break the loop from outside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import VOCAB_SIZE, ScriptedDrafter, TableTarget, finished, greedy_text, output_ids, prompt_ids, steps_of

from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.errors import BadInput, ContextFull
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree, chain
from tests.engine.loop.sessions import PROMPT, nothing


class Broken(ScriptedDrafter):
    """Raises in one of its verbs, from the second step on."""

    def __init__(self, verb: str, error: BaseException) -> None:
        super().__init__(nothing)
        self.verb, self.error = verb, error

    def start(self, context: Context) -> None:
        self._raise("start")

    def propose(self, context: Context, room: Any) -> DraftTree:
        if self.observed:
            self._raise("propose")
        return chain([0])

    def while_scoring(self, context: Context) -> None:
        self._raise("while_scoring")

    def observe(self, *args: Any) -> None:
        if self.observed:
            self._raise("observe")
        super().observe(*args)

    def _raise(self, verb: str) -> None:
        if verb == self.verb:
            raise self.error


ERRORS = [RuntimeError, ValueError, KeyError, AttributeError, ZeroDivisionError]
ERRORS += [OSError, MemoryError, NotImplementedError, StopIteration]


@pytest.mark.parametrize("verb", ["start", "propose", "observe"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_drafter_that_raises_ends_the_session_and_is_not_raised(
    error: type[Exception], verb: str, table_target: TableTarget
) -> None:
    events = list(generate(table_target, Broken(verb, error("boom")), PROMPT, GenerationConfig(max_new_tokens=9)))
    assert finished(events).reason == "failed"
    assert "boom" in finished(events).message


@pytest.mark.parametrize("verb", ["start", "propose", "observe", "while_scoring"])
def test_where_it_is_asked_for_the_rest_is_decoded_plainly(verb: str, llama: Target) -> None:
    drafter = Broken(verb, RuntimeError("boom"))
    config = GenerationConfig(max_new_tokens=9, after_fault="plain")
    events = list(generate(llama, drafter, prompt_ids(4), config))
    assert [*prompt_ids(4), *output_ids(events)] == greedy_text(llama, prompt_ids(4), 9)
    assert (finished(events).reason, finished(events).counts.emitted) == ("length", 9)
    last = {"start": 0, "while_scoring": 0, "propose": 1, "observe": 2}[verb]
    says = f"The drafter failed, and no drafts were made behind step {last}: RuntimeError: boom"
    assert finished(events).message == says
    assert all(not step.nodes for step in steps_of(events)[last + 1 :])


def test_drafts_of_token_ids_that_do_not_exist_are_dropped(llama: Target) -> None:
    drafter = ScriptedDrafter(lambda context, budget: chain([VOCAB_SIZE + 5]))
    events = list(generate(llama, drafter, prompt_ids(4), GenerationConfig(max_new_tokens=9)))
    assert finished(events).reason == "length"
    assert finished(events).counts.proposed == 0
    assert [*prompt_ids(4), *output_ids(events)] == greedy_text(llama, prompt_ids(4), 9)


@pytest.mark.parametrize("prompt", ["", "  \n", []], ids=["empty", "blank", "no tokens"])
def test_an_empty_prompt_is_refused_before_the_first_event(prompt: Any, table_target: TableTarget) -> None:
    with pytest.raises(BadInput):
        generate(table_target, ScriptedDrafter(nothing), prompt, GenerationConfig())


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers(llama: Target) -> None:
    for num_tokens in (llama.max_context, llama.max_context + 40):
        with pytest.raises(ContextFull, match=f"{num_tokens} tokens.*holds {llama.max_context}; at most"):
            generate(llama, ScriptedDrafter(nothing), prompt_ids(num_tokens), GenerationConfig())
    longest = prompt_ids(llama.max_context - 1)
    events = list(generate(llama, ScriptedDrafter(nothing), longest, GenerationConfig()))
    assert (finished(events).reason, finished(events).counts.emitted) == ("context", 1)


@pytest.mark.parametrize("where", ["drafter", "target"])
def test_memory_that_runs_out_ends_the_run_with_a_sentence_and_what_it_had(
    where: str, llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next run works."""
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB")
    released: list[int] = []
    monkeypatch.setattr("engine.loop.release", lambda: released.append(1))
    drafter = Broken("propose" if where == "drafter" else "", error)
    config = GenerationConfig(max_new_tokens=9)
    prompt = prompt_ids(4)
    whole = output_ids(generate(llama, ScriptedDrafter(nothing), prompt, config))
    extend, calls = llama.runner.extend, list[int]()

    def exhausted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise error
        return extend(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        if where == "target":
            patched.setattr(llama.runner, "extend", exhausted)
        events = list(generate(llama, drafter, prompt, config))
    had = [token.token_id for step in steps_of(events) for token in step.emitted]
    assert finished(events).reason == "failed"
    assert finished(events).message.startswith("The memory ran out (CUDA out of memory. Tried to allocate 2.00 GiB")
    assert "Traceback" not in finished(events).message
    assert had
    assert had == whole[: len(had)]
    assert released == [1]
    assert output_ids(generate(llama, ScriptedDrafter(nothing), prompt, config)) == whole
