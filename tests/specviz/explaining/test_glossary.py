"""The glossary: every metric that a page shows is in it, and an address leads to any of its terms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from scripted import ScriptedDevice
from stored import session

from specviz.explaining import glossary, prose
from specviz.pages import scripts
from specviz.pages.learn import Learn
from specviz.race import table
from specviz.showing import comparison
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.tiles import tiles

ROOT = Path(scripts.__file__).parents[2]
FIGURES = sorted((ROOT / "specviz" / "figures").glob("[a-z]*.py"))
SCRIPTS = sorted((ROOT / "assets" / "js").glob("*.js"))


def unknown(slugs: list[str]) -> set[str]:
    return set(slugs) - set(glossary.terms())


def test_terms_are_those_of_the_code_and_of_the_page() -> None:
    found = glossary.terms()
    assert found["block-efficiency"].definition.startswith("Emitted tokens ÷ target passes")
    assert found["bench-block-efficiency"].definition.startswith("All emitted tokens ÷ all target passes")
    assert found["target-probability"].definition == dict(prose.words())["target probability, draft probability"]
    assert len(found) == len([*glossary.figures(), *glossary.bench_figures(), *glossary.words()]), "one slug, one term"
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", slug) and term.definition for slug, term in found.items())


def test_every_column_tile_and_measure_has_its_entry() -> None:
    assert unknown([column.term for column in table.COLUMNS]) == set()
    shown = tiles(fold_all(ViewState(), session()))
    assert all(tile.terms for tile in shown)
    assert unknown([term for tile in shown for term in tile.terms]) == set()
    assert list(comparison.TERMS) == [name for name, *_ in comparison.measures([session()])]
    assert unknown(list(comparison.TERMS.values())) == set()


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_every_chart_has_its_entries(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    told = re.findall(r'"title": (?:f?"[^"]+"|title),\n +"terms": \[([^\]]+)\]', text)
    assert len(told) == text.count('"caption": '), "a chart has a title, its terms and a caption"
    assert unknown(re.findall(r'"([^"]+)"', " ".join(told))) == set()


def test_the_scripts_explain_by_terms_that_there_are() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    told = re.findall(r"explain\([^\[]+\[([^\]]+)\]", text)
    columns = re.findall(r"\['[a-z]*', '[A-Z][^']*', '[a-z-]*', '([a-z-]+)'\]", text)
    named = [term for part in told for term in re.findall(r"'([a-z-]+)'", part)]
    assert len(columns) == 6, "the metrics of the sessions list"
    assert len(named) >= 3
    assert unknown([*columns, *named]) == set()


def test_scripts_know_the_definitions() -> None:
    told = scripts.text("glossary")
    known = json.loads(told.removeprefix("export const GLOSSARY = ").removesuffix(";\n"))
    assert known == {slug: term.definition for slug, term in glossary.terms().items()}
    assert "<" not in told


@pytest.mark.parametrize("given", ["<b>nothing", "x" * 900, "\u202e"])
def test_a_term_that_is_none_gets_a_sentence(given: str) -> None:
    learn = Learn(ScriptedDevice())
    (update,) = learn.arrive({"view": "learn", "term": given})
    alert = json.loads(update)["alert"]
    assert alert.startswith("The glossary has no term ")
    assert len(alert) < 160
    (update,) = learn.arrive({"view": "learn", "term": "block-efficiency"})
    assert (json.loads(update)["term"], json.loads(update)["alert"]) == ("block-efficiency", "")
    (update,) = learn.arrive({"view": "learn"})
    assert json.loads(update)["alert"] == ""
