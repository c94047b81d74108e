"""Two drafters in one session: who proposed what, what each of them learns, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from reciter import Reciter, prose
from toys import ScriptedDrafter, create, greedy_text, output_ids, prompt_ids, stock
from toys.heads import random_weights

from engine import drafters, options
from engine.config import GenerationConfig
from engine.drafters import Context, Drafter, Needs
from engine.drafters.fallback import WithFallback
from engine.errors import BadInput, UnknownName
from engine.events import Stepped, from_json, to_json
from engine.loop import generate
from engine.target import Scored, Target
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Verdict

NAMES = drafters.names()
BACKED = [name for name in NAMES if any(spec.name == "fallback" for spec in options.specs(drafters.get(name).Options))]
PROMPT = [*prompt_ids(9), *prompt_ids(9), *prompt_ids(5, seed=2)]
SAMPLED: dict[str, Any] = {"temperature": 0.9, "seed": 3}
pytestmark = pytest.mark.usefixtures("draft_models")


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("name", BACKED)
def test_with_any_fallback_the_text_is_that_of_plain_decoding(
    name: str, settings: dict[str, Any], llama: Target
) -> None:
    text = greedy_text(llama, PROMPT, 30, **settings)[len(PROMPT) :]
    for second in NAMES:
        if second in (name, "plain") or drafters.get(second).guarantee != "exact":
            continue
        if drafters.get(second).needs.weights:
            continue
        drafter = create(name, llama, fallback=second)
        found = list(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=30, **settings)))
        assert output_ids(found) == text, second
        makers = {step.proposed_by for step in found if isinstance(step, Stepped) and step.nodes}
        assert makers <= {name, second}


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("name", [name for name in NAMES if drafters.get(name).needs.weights])
def test_a_head_is_asked_where_what_is_copied_scores_too_low(
    name: str, settings: dict[str, Any], llama: Target
) -> None:
    """The hybrid of SuffixDecoding's paper, and both in every step; the text is plain decoding's."""
    weights = str(random_weights(name, llama.facts.width, len(llama.loaded.tokenizer)))
    own = {"fallback": name, "fallback.weights": weights, "fallback.budget": 8}
    text = greedy_text(llama, PROMPT, 30, **settings)[len(PROMPT) :]
    both, union = "suffix_decoding", f"suffix_decoding + {name}"
    for more, wanted in (({"min_score": 64.0}, {name}), ({}, {both, name}), ({"union": True}, {both, name, union})):
        drafter = drafters.create("suffix_decoding", {**own, **more}, llama)
        found = list(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=30, **settings)))
        assert output_ids(found) == text
        makers = {step.proposed_by for step in found if isinstance(step, Stepped) and step.nodes}
        assert name in makers or union in makers
        assert makers <= wanted


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("name", [name for name in NAMES if drafters.get(name).needs.weights])
def test_trained_methods_are_fit_to_be_asked_after_any_number_of_copied_steps(
    name: str, settings: dict[str, Any], llama: Target
) -> None:
    """Two, three and more steps in a row that another drafter proposed, right and wrong ones."""
    text = greedy_text(llama, PROMPT, 40, **settings)

    def script(context: Context, budget: int) -> DraftTree:
        place = len(context.ids) - len(PROMPT)
        copied = text[len(context.ids) : len(context.ids) + 3]
        return EMPTY_TREE if place % 11 in (0, 9, 10) else chain([*copied[:2], *(t + 1 for t in copied[2:] if t < 60)])

    first = ScriptedDrafter(script)
    first.options = dataclasses.make_dataclass("Options", [])()
    drafter = WithFallback(first, create(name, llama))
    found = list(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=40, **settings)))
    assert output_ids(found) == text[len(PROMPT) :]
    makers = [step.proposed_by for step in found if isinstance(step, Stepped)]
    assert "scripted" in makers
    assert name in makers[makers.index("scripted") :] or name == "hidden_transfer"


def test_each_of_the_two_is_given_the_layers_that_it_asked_for(llama: Target) -> None:
    class Reader(ScriptedDrafter):
        """Notes the hidden states that it is given."""

        def __init__(self, *layers: int) -> None:
            super().__init__(lambda context, budget: EMPTY_TREE)
            self.options = dataclasses.make_dataclass("Options", [])()
            self.needs = Needs(hidden_layers=layers)  # type: ignore[misc]

        def start(self, context: Context) -> None:
            super().start(context)
            self.found = [context.prompt_hidden]

        def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
            self.found.append(scored.hidden)

    both = WithFallback(first := Reader(1, -1), second := Reader(0, 1))
    assert both.needs.hidden_layers == (1, -1, 0)
    nobody = Reader()
    text = greedy_text(llama, PROMPT, 3)
    output_ids(generate(llama, both, PROMPT, GenerationConfig(max_new_tokens=3)))
    states = stock("llama")(input_ids=torch.tensor([text]), output_hidden_states=True).hidden_states
    for reader in (first, second):
        for place, layer in enumerate(reader.needs.hidden_layers):
            found = torch.cat([given[place] for given in reader.found if given is not None])
            torch.testing.assert_close(found, states[layer][0, : len(found)], atol=1e-4, rtol=1e-4)
            assert len(found) == len(PROMPT) + 2
    output_ids(generate(llama, WithFallback(nobody, Reader()), PROMPT, GenerationConfig(max_new_tokens=3)))
    assert nobody.found == [None] * 4


def test_a_step_says_which_of_the_two_proposed_it() -> None:
    text = [*prose(150), *prose(150)]
    target = Reciter(text)
    drafter = drafters.create("copyspec", {"fallback": "prompt_lookup", "gamma": 6}, target)
    events = list(generate(target, drafter, text[:140], GenerationConfig(max_new_tokens=160, has_detail=False)))
    steps = [event for event in events if isinstance(event, Stepped)]
    assert {step.proposed_by for step in steps} >= {"copyspec", "prompt_lookup"}
    assert all((step.proposed_by is None) == (not step.nodes) for step in steps)
    assert [from_json(to_json(event)) for event in events] == events


def test_a_method_alone_names_nobody(llama: Target) -> None:
    events = list(generate(llama, create("copyspec", llama), PROMPT, GenerationConfig(max_new_tokens=9)))
    assert {event.proposed_by for event in events if isinstance(event, Stepped)} == {None}


def test_a_log_without_the_field_is_still_read(llama: Target) -> None:
    events = generate(llama, create("plain", llama), PROMPT, GenerationConfig(max_new_tokens=3))
    step = next(event for event in events if isinstance(event, Stepped))
    row = json.loads(to_json(step))
    del row["proposed_by"]
    assert from_json(json.dumps(row)) == step


def test_copied_tokens_enter_the_draft_models_cache_exactly_once(llama: Target) -> None:
    drafter = create("copyspec", llama, fallback="draft_model", gamma=2)
    assert isinstance(drafter, WithFallback)
    runner = drafter.second.runner  # type: ignore[attr-defined]
    prompt, fed, makers = [*PROMPT, *PROMPT], [], set()
    extend = runner.extend
    runner.extend = lambda ids, *args, **kwargs: fed.append(len(ids)) or extend(ids, *args, **kwargs)
    ids = list(prompt)
    for event in generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=60)):
        if isinstance(event, Stepped):
            makers.add(event.proposed_by)
            ids += [token.token_id for token in event.emitted]
            assert runner.num_committed < len(ids)
            fresh = type(runner)(runner.model, runner.max_context, is_row_invariant=False)
            fresh.prefill(ids[: runner.num_committed])
            assert (runner.kv(1)[0] - fresh.kv(1)[0]).abs().max() < 1e-4
    assert makers - {None} == {"copyspec", "draft_model"}
    assert max(fed) > 1, "copied tokens waited and were fed together"


def test_more_copied_tokens_than_a_pass_may_hold_are_fed_in_blocks(
    llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft: Any = create("draft_model", llama)
    ids = prompt_ids(90)
    draft.runner.reset()
    whole = draft._feed(ids)
    draft.runner.reset()
    monkeypatch.setattr("engine.drafters.small_models._model.PREFILL_ROWS", 32)
    torch.testing.assert_close(draft._feed(ids), whole)
    assert draft.runner.num_committed == 90


@pytest.mark.parametrize("name", BACKED)
def test_itself_and_unknown_methods_are_refused(name: str, llama: Target) -> None:
    with pytest.raises(BadInput, match=f"{name} cannot fall back to itself; choose none or one of: .*draft_model"):
        create(name, llama, fallback=name)
    for wrong in ("magic", "plain", "base", ""):
        with pytest.raises(UnknownName, match=rf"fallback '{wrong}'; there are: .*draft_model"):
            create(name, llama, fallback=wrong)


def test_what_the_fallback_cannot_do_is_refused(llama: Target) -> None:
    config = GenerationConfig(temperature=1.0, rule="rejection")
    with pytest.raises(BadInput, match="node_sampling"):
        generate(llama, create("copyspec", llama, fallback="draft_model"), PROMPT, config)


def test_the_two_together_need_what_either_needs(llama: Target) -> None:
    drafter: Drafter = create("copyspec", llama, fallback="draft_model")
    assert drafter.needs.describe() == "a draft model"
    assert drafter.name == "copyspec"
    assert drafter.guarantee == "exact"
    assert dataclasses.asdict(drafter.options)["fallback"] == "draft_model"


def test_what_is_to_be_said_of_either_is_said_of_both(llama: Target) -> None:
    first, second = (drafters.create(name, {}, llama) for name in ("copyspec", "prompt_lookup"))
    assert WithFallback(first, second).caveat == ""
    first.caveat, second.caveat = "First.", "Second."
    assert WithFallback(first, second).caveat == "First. Second."


def test_a_fallback_is_given_options_by_its_name(llama: Target) -> None:
    drafter = create("copyspec", llama, **{"fallback": "prompt_lookup", "fallback.depth": "3", "depth": 5})
    assert isinstance(drafter, WithFallback)
    assert (drafter.first.options.depth, drafter.second.options.depth) == (5, 3)
    started = next(iter(generate(llama, drafter, PROMPT, GenerationConfig())))
    options_told = started.method_options  # type: ignore[union-attr]
    assert {name: options_told[name] for name in ("depth", "fallback", "fallback.depth")} == {
        "depth": 5,
        "fallback": "prompt_lookup",
        "fallback.depth": 3,
    }
    assert drafters.parse("copyspec", options_told)[1][1].depth == 3, "what a run tells can be asked for again"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"fallback.depth": 3}, "fallback.depth is of a fallback, and copyspec is given none"),
        ({"fallback": "prompt_lookup", "fallback.colour": 3}, "option of prompt_lookup 'colour'"),
        ({"fallback": "prompt_lookup", "fallback.depth": 300}, "depth is 300; wanted"),
        ({"fallback": "prompt_lookup", "fallback.fallback": "aded"}, "two methods are the most"),
    ],
)
def test_wrong_options_of_a_fallback_are_refused(given: dict[str, Any], sentence: str, llama: Target) -> None:
    with pytest.raises(BadInput, match=sentence):
        create("copyspec", llama, **given)


def test_the_needs_of_two_unite_and_each_is_given_its_own() -> None:
    first = Needs(hidden_layers=(3, 1), prompt_top_k=8)
    second = Needs(draft_model=True, hidden_layers=(2, 3), prompt_top_k=4, prompt_probs=True)
    both = first | second
    assert both == Needs(draft_model=True, hidden_layers=(3, 1, 2), prompt_top_k=8, prompt_probs=True)
    states = tuple(torch.full((1, 1), layer) for layer in both.hidden_layers)
    for needs in (first, second):
        own = needs.own_hidden(states, both)
        assert own is not None
        assert [int(state) for state in own] == list(needs.hidden_layers)
    assert Needs().own_hidden(states, both) is None
    assert first.own_hidden(None, both) is None
    assert first | Needs() == Needs() | first == first
