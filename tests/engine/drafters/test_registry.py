"""Methods as the registry has them: what each says of itself and of its options, and which names there are."""

from __future__ import annotations

import dataclasses
import json

import pytest

from engine import drafters, options
from engine.errors import UnknownName
from engine.target import Target

NAMES = drafters.names()
every_method = pytest.mark.parametrize("name", NAMES)
pytestmark = pytest.mark.usefixtures("draft_models")


@every_method
def test_a_method_describes_itself(name: str) -> None:
    drafter = drafters.get(name)
    assert drafter.name == name
    assert drafter.title
    assert drafter.summary.endswith(".")
    assert drafter.source
    assert drafter.guarantee in ("exact", "lossy")
    assert drafter.needs.describe()
    reason = drafter.unavailable()
    assert reason is None or reason.endswith(".")


@every_method
def test_options_are_frozen_data_with_help_and_bounds(name: str) -> None:
    kind = drafters.get(name).Options
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    default = options.parse(kind, {}, name)
    assert len(options.specs(kind)) == len(dataclasses.fields(kind)), "an option without help or range"
    for spec in options.specs(kind):
        assert spec.help.endswith(".")
        assert spec.parse(spec.default) == getattr(default, spec.name)
        if spec.type in (int, float):
            assert spec.low is not None
            assert spec.high is not None
    json.dumps(vars(default))


@every_method
def test_an_unknown_option_is_refused(name: str, llama: Target) -> None:
    with pytest.raises(UnknownName, match="colour"):
        drafters.create(name, {"colour": "red"}, llama)


def test_the_registry_lists_files_and_refuses_other_names() -> None:
    assert NAMES[0] == "plain"
    assert {"plain", "draft_model", "prompt_lookup"} <= set(NAMES)
    assert "base" not in NAMES
    with pytest.raises(UnknownName, match=r"draft_model, .*plain, .*prompt_lookup"):
        drafters.get("magic")
