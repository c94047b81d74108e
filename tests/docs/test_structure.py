"""docs/structure.md and the README's tree name what exists."""

from __future__ import annotations

import re

from tests.docs.sections import PACKAGES, ROOT, read, section


def modules() -> list[str]:
    """Every module as a path; a package as its folder; migrations as their folder."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            is_folder = path.name == "__init__.py" or path.parent.name == "versions"
            name = (path.parent if is_folder else path).relative_to(ROOT).as_posix()
            found.add(f"{name}/" if is_folder else name)
    return sorted(found)


def test_every_module_has_its_line_in_structure() -> None:
    named = set(re.findall(r"`([^`]+)`", read("docs/structure.md").partition("## Modules")[2]))
    assert [name for name in modules() if name not in named] == []


def test_structure_names_nothing_that_does_not_exist() -> None:
    named = re.findall(r"`((?:engine|specviz)/[^`<]*)`", read("docs/structure.md"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_structure_tells_a_prompts_life_in_eight_steps() -> None:
    life = section(read("docs/structure.md"), "A prompt's life")
    assert re.findall(r"^(\d)\.", life, re.MULTILINE) == list("12345678")


def test_readme_tree_names_what_exists() -> None:
    folders: list[str] = []
    for line in read("README.md").split("## Where things are")[1].split("```")[1].strip("\n").splitlines():
        indent = (len(line) - len(line.lstrip())) // 2
        folders = folders[:indent]
        names = re.split(r"\s{2,}", line.strip())[0].split()
        for name in names:
            assert (ROOT / "".join(folders) / name).exists(), line
        folders.append(names[0])
