"""Imports run one way, and the engine stands alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOREIGN = {"specviz", "app", "gradio", "plotly", "sqlalchemy", "alembic", "sqlite3", "pandas", "fastapi", "starlette"}
BELOW = {
    "tree",
    "draws",
    "noise",
    "sampling",
    "distributions",
    "events",
    "runtime",
    "models",
    "config",
    "options",
    "errors",
    "facts",
    "text",
}
"""What drafters, rules and the target stand on."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "engine").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, *, is_lazy_too: bool = True) -> Iterator[str]:
    """Names that a file imports, `TYPE_CHECKING` blocks left out; `from a import b` gives `a.b`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef) and not is_lazy_too:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        nodes.extend(ast.iter_child_nodes(node))


def parts(name: str, *, is_lazy_too: bool = True) -> set[str]:
    """The parts of the engine that a module imports: `engine.verify.base.Rule` is part `verify`."""
    names = imports(modules()[name], is_lazy_too=is_lazy_too)
    return {part.split(".")[1] for part in names if part.startswith("engine.")}


@pytest.mark.parametrize("name", modules())
def test_the_engine_knows_nothing_of_pages_figures_or_databases(name: str) -> None:
    assert not FOREIGN & {wanted.split(".")[0] for wanted in imports(modules()[name])}


def test_importing_the_whole_engine_loads_no_page_figure_or_database() -> None:
    names = [name for name in modules() if name != "engine.__main__"]
    program = f"import sys, {', '.join(names)}\nprint(sorted(set(sys.modules) & {FOREIGN - {'pandas', 'sqlite3'}!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def members(*families: str) -> list[str]:
    return [name for name in sorted(modules()) if name.split(".")[1:2] and name.split(".")[1] in families]


@pytest.mark.parametrize("name", members("drafters", "verify", "target"))
def test_drafters_rules_and_target_stand_on_what_is_below_them(name: str) -> None:
    own = name.split(".")[1]
    allowed = BELOW | {own} | ({"verify"} if own == "drafters" else set())
    assert parts(name) <= allowed


@pytest.mark.parametrize("name", members(*BELOW - {"models", "config"}))
def test_the_ground_floor_never_looks_up(name: str) -> None:
    """Settings stand a step higher: they know which rules there are."""
    assert not parts(name) & {
        "loop",
        "drafters",
        "verify",
        "target",
        "models",
        "audit",
        "metrics",
        "cli",
        "commands",
        "training",
    }


def test_only_the_command_line_and_its_users_know_the_loop() -> None:
    knowing = {name for name in modules() if "loop" in parts(name)}
    assert knowing <= {
        "engine.commands.generate",
        "engine.commands.audit",
        "engine.audit",
        *members("bench", "training"),
    }


def test_training_is_imported_by_nobody_but_lazily_by_its_command() -> None:
    outside = [name for name in modules() if not name.startswith("engine.training")]
    assert {name for name in outside if "training" in parts(name)} <= {"engine.commands.train"}
    assert not any("training" in parts(name, is_lazy_too=False) for name in outside)


def test_no_module_imports_itself_by_a_detour() -> None:
    edges = {
        name: {other for wanted in imports(path, is_lazy_too=False) for other in (wanted, wanted.rpartition(".")[0])}
        & set(modules()) - {name}
        for name, path in modules().items()
    }
    edges = {name: {o for o in others if not name.startswith(f"{o}.")} for name, others in edges.items()}
    finished: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"circle: {' → '.join((*way, name))}"
        if name not in finished:
            for other in edges[name]:
                visit(other, (*way, name))
            finished.add(name)

    for name in edges:
        visit(name, ())
