"""DEL: what pays by its estimates, what the exits' shadow tokens are, when drafts end, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from toys import build, create, greedy_text, loaded, output_ids, prompt_ids, steps_of, stock_logits
from toys.families import MAX_CONTEXT, VOCAB_SIZE, sizes

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.drafters.own_layers._exits import LEAST_GAIN, PRIOR_TOKENS, Exits, Floats, step_costs
from engine.errors import BadInput
from engine.loop import generate
from engine.target import Target

PROMPT = prompt_ids(9)
LAYERS = 6
FREE = (1.0,) * 33
SAMPLED: dict[str, Any] = {"temperature": 0.9, "seed": 2}


def deep_target() -> Target:
    config = transformers.LlamaConfig(**sizes(num_hidden_layers=LAYERS))
    return Target(loaded(build(config), VOCAB_SIZE, MAX_CONTEXT, name="deep"))


def told(exits: Exits, rates: list[float], num: int) -> None:
    """Of every exit so many places, accepted at these rates throughout."""
    rows = np.tile(rates, (num, 1))
    exits.learn(rows, (rows > 0.5).astype(float), rows)


# What pays


def test_free_rows_and_free_exits_cost_the_papers_layers() -> None:
    costs = step_costs((2, 5), (1 / 8, 0.0), FREE, 3)
    assert costs * 8 == pytest.approx(np.array([[8, 10, 12, 14], [8, 13, 18, 23]]))


def test_rows_and_exits_are_weighed_as_they_cost() -> None:
    costs = step_costs((2,), (0.1, 0.05), (1.0, 1.2, 1.5), 2)
    assert costs[0] == pytest.approx([1.0, 0.2 * 2 + 0.05 + 0.8 * 1.2, 0.2 * 3 + 0.1 + 0.8 * 1.5])


@pytest.mark.parametrize("seed", range(3))
def test_exit_and_length_are_the_best_of_all(seed: int) -> None:
    """By a sum over how many tokens in a row are accepted, of every exit and length."""
    rates = np.sort(np.random.default_rng(seed).uniform(0.5, 0.98, 4)).tolist()
    exits, costs = Exits((1, 2, 4, 6), 8, 0.95), step_costs((1, 2, 4, 6), (1 / 8, 0.02), FREE, 6)
    told(exits, rates, 400)
    assert exits.rates == pytest.approx(rates, abs=1e-6)
    speeds = {
        (place, length): (sum(k * rate**k * (1 - rate) for k in range(length)) + length * rate**length + 1)
        / costs[place, length]
        for place, rate in enumerate(rates)
        for length in range(7)
    }
    assert exits.best(costs) == (best := max(speeds, key=lambda pair: speeds[pair]))
    assert speeds[best] > LEAST_GAIN


def test_where_no_exit_is_right_nothing_is_drafted_unless_it_must_be() -> None:
    exits, costs = Exits((1, 3), 4, 0.9), step_costs((1, 3), (0.25, 0.0), FREE, 4)
    told(exits, [0.0, 0.0], 200)
    assert exits.best(costs) == (0, 0)
    assert exits.best(costs, 1) == (0, 1)
    hardly = Exits((1,), 4, 0.9)
    told(hardly, [0.3], 200)
    assert hardly.best(step_costs((1,), (0.25, 0.0), FREE, 1)) == (0, 0), "1.3 tokens for 1.25 passes: not worth a try"
    assert hardly.best(step_costs((1,), (0.1, 0.0), FREE, 1)) == (0, 1)


def test_an_exit_is_taken_to_be_right_as_it_is_deep_until_it_is_seen() -> None:
    exits = Exits((1, 3), 4, 0.5)
    assert exits.rates == pytest.approx([0.25, 0.75])
    told(exits, [1.0, 0.0], 1)
    right = np.array([0.25, 0.75]) * PRIOR_TOKENS * 0.5 + [1.0, 0.0]
    assert exits.rates == pytest.approx(right / (PRIOR_TOKENS * 0.5 + 1))
    told(exits, [0.0, 1.0], 12)
    assert exits.best(step_costs((1, 3), (0.25, 0.0), FREE, 4))[0] == 1, "what was is forgotten"


def test_a_draft_ends_halfway_between_wrong_and_right() -> None:
    exits = Exits((1,), 4, 1.0)
    one: Floats = np.ones((1, 1))
    assert exits.threshold(0) == 0.0
    exits.learn(one, one, one * 0.9)
    assert exits.threshold(0) == 0.0, "nothing wrong was seen yet"
    exits.learn(one * 0, one * 0, one * 0.2)
    exits.learn(one * 0, one * 0, one * 0.4)
    assert exits.threshold(0) == pytest.approx((0.9 + 0.3) / 2)


# In a session


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({"exits": 2, "stops": False}, {}),
        ({"costs": "layers", "every": 1}, SAMPLED),
        ({"every": 2}, {**SAMPLED, "repetition_penalty": 1.4}),
    ],
    ids=str,
)
def test_the_text_is_plain_decodings_whatever_is_chosen(given: dict[str, Any], settings: dict[str, Any]) -> None:
    target = deep_target()
    text = greedy_text(target, PROMPT, 20, **settings)[len(PROMPT) :]
    config = GenerationConfig(max_new_tokens=20, **settings)
    assert output_ids(generate(target, create("del", target, **given), PROMPT, config)) == text


def test_shadow_tokens_are_what_each_exit_would_have_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of stock transformers' hidden states, behind every emitted token of a step that looks."""
    target = deep_target()
    stock = build(transformers.LlamaConfig(**sizes(num_hidden_layers=LAYERS)))
    learnt: list[list[Floats]] = []
    monkeypatch.setattr(Exits, "learn", lambda self, *seen: learnt.append([*seen]))
    drafter = create("del", target, exits=5, every=1)
    ids = list(PROMPT)
    steps = steps_of([*generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=10))])
    for step, (_, right, sure) in zip(steps, learnt, strict=False):  # nothing is drafted before the last token
        emitted = [token.token_id for token in step.emitted]
        for place, token in enumerate(emitted):
            with torch.inference_mode():
                states = stock(input_ids=torch.tensor([[*ids, *emitted[:place]]]), output_hidden_states=True)
                for exit_place, layer in enumerate(range(1, LAYERS)):
                    normed = stock.model.norm(states.hidden_states[layer][0, -1])  # type: ignore[operator,union-attr]
                    law = stock.lm_head(normed).softmax(dim=-1)  # type: ignore[operator]
                    assert right[place, exit_place] == float(int(law.argmax()) == token)
                    assert sure[place, exit_place] == pytest.approx(float(law.max()), abs=1e-4)
        ids += emitted
    assert int(stock_logits(stock, ids[:-1])[-1].argmax()) == ids[-1]
    assert len(learnt) >= len(steps) - 1


def test_overlap_with_the_target_is_learnt_where_tokens_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    target, learnt = deep_target(), list[Floats]()
    monkeypatch.setattr(Exits, "learn", lambda self, chances, *rest: learnt.append(chances))
    drafter = create("del", target, every=1)
    output_ids(generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=10, **SAMPLED)))
    found = np.concatenate(learnt)
    assert ((found > 0) & (found < 1)).all()
    assert len(found) >= 9, "all tokens but the last, before which there is no room for a draft"


def test_few_steps_look_where_nothing_is_drafted(monkeypatch: pytest.MonkeyPatch) -> None:
    target, learnt = deep_target(), list[Floats]()
    monkeypatch.setattr(Exits, "learn", lambda self, chances, *rest: learnt.append(chances))
    dear = Costs.known([1.0 + n for n in range(129)])
    drafter = drafters.create("del", {"every": 1}, target, dear)
    steps = steps_of([*generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=20))])
    assert len(steps) == 20, "where drafting never pays each step is a plain one"
    assert len(learnt) == 4 + 3, "the first four, and two, four, eight steps behind each other"


@pytest.mark.parametrize("given", [{"shallowest": 4}, {"deepest": 2}, {"shallowest": 2, "deepest": 1}, {"deepest": 9}])
def test_exits_out_of_range_are_refused_with_the_range(given: dict[str, int], llama: Target) -> None:
    with pytest.raises(BadInput, match=r"shallowest and deepest are \d and \d; .* has 2 layers, .* 1 to 1"):
        drafters.create("del", given, llama)
    assert drafters.create("del", {"exits": 9}, deep_target()).layers == (1, 2, 3, 4, 5)  # type: ignore[attr-defined]
