"""The methods' page and the README's table are the registry."""

from __future__ import annotations

import re

import pytest

from engine import drafters, options, verify
from tests.docs.sections import first_cells, own_part, read, section


def test_readme_method_table_is_the_registry() -> None:
    table = re.search(r"<!-- methods:start -->\n(.*)\n<!-- methods:end -->", read("README.md"), re.DOTALL)
    assert table
    wanted = []
    for name in drafters.names():
        drafter = drafters.get(name)
        cells = (f"`{name}`", drafter.summary, drafter.needs.describe(), drafter.guarantee, drafter.source)
        wanted.append(f"| {' | '.join(cells)} |")
    assert table[1].splitlines()[2:] == wanted


def test_each_method_has_its_row() -> None:
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \|(.*)\|$", read("docs/methods.md"), re.MULTILINE))
    assert list(rows) == drafters.names()
    for name, row in rows.items():
        _, needs, guarantee, shape, paper = (cell.strip() for cell in row.split("|"))
        drafter = drafters.get(name)
        assert (needs, guarantee, paper) == (drafter.needs.describe(), drafter.guarantee, drafter.source)
        assert shape in ("no draft", "chain", "tree", "chain or tree")


@pytest.mark.parametrize("name", drafters.names())
def test_each_method_has_its_section_with_its_options(name: str) -> None:
    text = section(read("docs/methods.md"), name)
    for part in ("**From the ", "**Our choice:**", "**Options:**", "**Failure modes:**"):
        assert part in text or (part == "**Options:**" and "| Option | Default |" in text)
    wanted = [
        f"| `{spec.name}` | `{spec.default}` | {', '.join(spec.choices) or spec.range_text()} | {spec.help} |"
        for spec in options.specs(drafters.get(name).Options)
    ]
    assert re.findall(r"^\| `.*\|$", text, re.MULTILINE) == wanted


def test_methods_page_has_no_other_sections() -> None:
    assert re.findall(r"^## (.+)$", read("docs/methods.md"), re.MULTILINE) == drafters.names()


def test_each_verification_rule_has_its_row() -> None:
    assert first_cells(own_part(section(read("docs/methods.md"), "Methods"))) == [*verify.names()]
