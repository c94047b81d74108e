"""Generation settings are checked when they are made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.config import GenerationConfig
from engine.errors import BadInput

BAD: list[tuple[str, dict[str, Any]]] = [
    ("max_new_tokens", {"max_new_tokens": 0}),
    ("max_new_tokens", {"max_new_tokens": -5}),
    ("max_new_tokens", {"max_new_tokens": 1.5}),
    ("temperature", {"temperature": -0.1}),
    ("temperature", {"temperature": float("nan")}),
    ("temperature", {"temperature": float("inf")}),
    ("top_k", {"top_k": -1}),
    ("top_p", {"top_p": 0.0}),
    ("top_p", {"top_p": 1.1}),
    ("repetition_penalty", {"repetition_penalty": 0.0}),
    ("seed", {"seed": -1}),
    ("timeout_s", {"timeout_s": -1.0}),
    ("stop text", {"stop_strings": ("END", "")}),
    ("stop text", {"stop_strings": ("a" * 201,)}),
    ("rule", {"rule": "coin"}),
    ("temperature 0", {"rule": "greedy", "temperature": 1.0}),
    ("temperature above 0", {"rule": "rejection"}),
]


@pytest.mark.parametrize(("said", "settings"), BAD, ids=[str(settings) for _, settings in BAD])
def test_a_setting_out_of_range_is_refused_and_named(said: str, settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=said):
        GenerationConfig(**settings)


def test_auto_stands_for_greedy_at_temperature_zero_and_node_sampling_above() -> None:
    assert GenerationConfig().verification_rule.name == "greedy"
    assert GenerationConfig().is_greedy
    assert GenerationConfig(temperature=0.7).verification_rule.name == "node_sampling"
    assert GenerationConfig(temperature=0.7, rule="rejection").verification_rule.name == "rejection"
    assert GenerationConfig(rule="node_sampling").verification_rule.name == "node_sampling"


def test_what_a_draft_is_made_of_follows_rule_and_temperature() -> None:
    assert GenerationConfig().draft_mode == "likeliest"
    assert GenerationConfig(rule="node_sampling").draft_mode == "likeliest"
    assert GenerationConfig(temperature=0.7).draft_mode == "coupled"
    assert GenerationConfig(temperature=0.7, rule="rejection").draft_mode == "drawn"
    assert GenerationConfig(temperature=0.7, rule="likeliest_drafts").draft_mode == "likeliest"
    assert [GenerationConfig(temperature=0.7, rule=rule).drawing for rule in ("rejection", "k_seq", "typical")] == [
        "in_turn",
        "iid",
        None,
    ]


def test_settings_survive_json() -> None:
    config = GenerationConfig(temperature=0.5, stop_strings=("\n\n", "END"))
    row = json.loads(json.dumps(config.to_dict()))
    assert GenerationConfig(**{**row, "stop_strings": tuple(row["stop_strings"])}) == config
