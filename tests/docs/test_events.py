"""The pages of events and figures say what the code says."""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Any

import pytest

from engine import definitions, events, metrics
from tests.docs.sections import first_cells, own_part, read, section

STEP_RECORDS = ("Stepped", "Node", "Judged", "DraftedFrom", "Weighed", "Emitted", "Candidate")
RECORDS = ("SessionStarted", "Prefilled", *STEP_RECORDS, "SessionFinished", "Memory", "Counts")


@pytest.mark.parametrize("name", RECORDS)
def test_each_record_has_its_section_with_every_field(name: str) -> None:
    record = getattr(events, name)
    text = own_part(section(read("docs/events.md"), name))
    assert first_cells(text) == [field.name for field in dataclasses.fields(record)]
    kind = {field.name: field.default for field in dataclasses.fields(record)}.get("kind")
    assert kind is None or f"`kind` is `{kind}`" in text


def test_no_record_is_forgotten() -> None:
    assert {name for name, it in vars(events).items() if dataclasses.is_dataclass(it)} == set(RECORDS)
    titles = re.findall(r"^##+ (.+)$", read("docs/events.md"), re.MULTILINE)
    assert sorted(titles) == sorted(RECORDS)


@pytest.mark.parametrize(
    "values", [events.Origin, events.Status, events.StopReason], ids=["origin", "status", "reason"]
)
def test_events_page_names_every_value(values: Any) -> None:
    assert [value for value in typing.get_args(values) if f"`{value}`" not in read("docs/events.md")] == []


def test_glossary_defines_every_figure_in_the_codes_own_words() -> None:
    text = section(read("docs/glossary.md"), "Figures")
    rows = [f"| `{name}` | {definition} |" for name, definition in definitions.DEFINITIONS.items()]
    assert re.findall(r"^\| `.*\|$", text, re.MULTILINE) == rows
    shown = {field.name for field in dataclasses.fields(metrics.Metrics)}
    assert shown <= set(definitions.DEFINITIONS)


def test_glossary_has_a_row_for_every_origin_and_status() -> None:
    text = section(read("docs/glossary.md"), "Words")
    for word in ("plain token", "bonus token", "correction token", "unreached", "accept, reject"):
        assert f"| {word} |" in text
