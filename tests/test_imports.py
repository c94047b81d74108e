"""Imports run one way, as docs/structure.md draws them, and the engine stands alone."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOREIGN = {"specviz", "app", "gradio", "plotly", "sqlalchemy", "alembic", "sqlite3", "pandas", "fastapi", "starlette"}
DRAWING = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8").split("```")[1]


def modules() -> dict[str, Path]:
    """Every module of both packages and its file."""
    paths = [ROOT / "app.py", *(path for name in ("engine", "specviz") for path in sorted((ROOT / name).rglob("*.py")))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths)
    return dict(zip(names, paths, strict=True))


MODULES = modules()


@functools.cache
def imports(path: Path, *, is_lazy_too: bool = True) -> frozenset[str]:
    """Names that a file imports, `TYPE_CHECKING` blocks left out; `from a import b` gives `a.b`."""
    return frozenset(_imports(path, is_lazy_too=is_lazy_too))


def _imports(path: Path, *, is_lazy_too: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_lazy_too:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        nodes.extend(ast.iter_child_nodes(node))


def edges(name: str, *, is_lazy_too: bool = True) -> set[str]:
    """The modules that a module imports; of `from a import b` module a.b, or else a."""
    wanted = imports(MODULES[name], is_lazy_too=is_lazy_too)
    return {found if found in MODULES else found.rpartition(".")[0] for found in wanted} & set(MODULES) - {name}


def layers(package: str) -> dict[str, int]:
    """The parts of a package and how low they stand, from the drawing."""
    block = re.split(r"^ \S+", DRAWING, flags=re.MULTILINE)[{"specviz": 2, "engine": 3}[package]]
    lines = [line.strip() for line in block.strip("\n").splitlines()]
    return {part: depth for depth, line in enumerate(lines) for part in re.split(r" {6,}", line)[0].split()}


def part(name: str) -> str:
    """What of the drawing a module belongs to: `verify` of `engine.verify.base`."""
    return name.split(".")[1] if "." in name else ""


INSIDE = [name for name in MODULES if "." in name and name != "engine.__main__"]


@pytest.mark.parametrize("name", INSIDE)
def test_imports_run_downwards_as_drawn(name: str) -> None:
    package = name.split(".")[0]
    depth = layers(package)
    assert part(name) in depth, f"{part(name)} is not in the drawing of docs/structure.md"
    for other in edges(name):
        if other.startswith(f"{package}.") and part(other) != part(name):
            assert depth[part(other)] > depth[part(name)], f"{name} imports {other}"


def test_the_drawing_names_nothing_that_does_not_exist() -> None:
    for package in ("engine", "specviz"):
        assert set(layers(package)) <= {part(name) for name in MODULES if name.startswith(package)}


def test_no_module_imports_itself_by_a_detour_however_lazily() -> None:
    finished: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"circle: {' → '.join((*way, name))}"
        if name not in finished:
            for other in edges(name):
                visit(other, (*way, name))
            finished.add(name)

    for name in MODULES:
        visit(name, ())


def test_a_circle_would_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    from x import b\n")
    (tmp_path / "b.py").write_text("import x.a\n")
    monkeypatch.setattr(sys.modules[__name__], "MODULES", {"x.a": tmp_path / "a.py", "x.b": tmp_path / "b.py"})
    with pytest.raises(AssertionError, match=r"circle: x\.a → x\.b → x\.a"):
        test_no_module_imports_itself_by_a_detour_however_lazily()


ENGINE = [name for name in MODULES if name.split(".")[0] == "engine"]


@pytest.mark.parametrize("name", ENGINE)
def test_the_engine_knows_nothing_of_pages_figures_or_databases(name: str) -> None:
    assert not FOREIGN & {wanted.split(".")[0] for wanted in imports(MODULES[name])}


def test_training_is_imported_by_nobody_but_lazily_by_its_command() -> None:
    outside = [name for name in ENGINE if part(name) != "training"]
    knowing = {name for name in outside if "training" in map(part, edges(name))}
    assert knowing <= {"engine.commands.train"}
    assert not any("training" in map(part, edges(name, is_lazy_too=False)) for name in outside)


@pytest.mark.parametrize("package", ["store", "figures", "archive", "showing"])
def test_what_only_works_out_numbers_asks_no_device(package: str) -> None:
    """No model is loaded, and nothing decodes, for a page to show what is kept."""
    for name in (name for name in MODULES if name.startswith(f"specviz.{package}.")):
        deep = {part(other) for other in edges(name) if other.startswith("engine.")}
        assert not deep & {"loop", "drafters", "target", "models", "runtime"}, name
