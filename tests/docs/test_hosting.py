"""docs/hosting.md names every setting; a Space's folder is whole; what is locked is what is asked for."""

from __future__ import annotations

import importlib.util
import re
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from specviz.flags import parse_flags
from specviz.policy import HOME, PUBLIC, SPECS
from tests.docs.sections import ROOT, read

HOSTING = "docs/hosting.md"


def script(name: str) -> ModuleType:
    """One of scripts/."""
    found = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_setting_of_the_policy_stands_in_the_table() -> None:
    rows = re.findall(r"^\| `--([\w-]+)` \| `(SPECVIZ_\w+)` \| (.*?) \| (.*?) \|$", read(HOSTING), re.MULTILINE)
    named = {flag.replace("-", "_"): (variable, home, public) for flag, variable, home, public in rows}
    flags = vars(parse_flags([]))
    for spec in SPECS:
        variable, home, public = named[spec.name]
        assert variable == f"SPECVIZ_{spec.name.upper()}"
        for said, policy in ((home, HOME), (public, PUBLIC)):
            value = getattr(policy, spec.name)
            assert not value or f"{value:,g}" in said if isinstance(value, int | float) else value in said, spec.name
    assert {"hosts", "frames", "public"} <= named.keys() & flags.keys()


@pytest.mark.parametrize("kind", ["docker", "cpu", "gpu", "zerogpu"])
def test_a_spaces_folder_can_be_pushed_as_it_is(kind: str, tmp_path: Path) -> None:
    make_space = script("make_space")
    make_space.make(kind, tmp_path)
    front: dict[str, Any] = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])
    wanted = (tmp_path / "requirements.txt").read_text()
    assert (front["title"], front["license"], front["sdk"]) == (
        "SpecViz",
        "apache-2.0",
        "docker" if kind == "docker" else "gradio",
    )
    if kind == "docker":
        assert (front["app_port"], (tmp_path / "Dockerfile").exists()) == (7860, True)
        assert not {"app_file", "sdk_version"} & front.keys()
    else:
        assert (front["sdk_version"], front["app_file"]) == (re.findall(r"gradio==(\S+)", wanted)[0], "app.py")
        assert ("whl/cpu" in wanted) == (kind == "cpu")
        assert "\n-r " not in wanted
    tracked = (tmp_path / ".gitattributes").read_text()
    large = {path.suffix for path in tmp_path.rglob("*") if path.is_file() and b"\0" in path.read_bytes()[:8_000]}
    assert all(f"*{suffix} filter=lfs" in tracked for suffix in large)
    assert {path.name for path in tmp_path.iterdir()} >= {"app.py", "engine", "specviz", "assets", "LICENSE", "NOTICE"}
    assert not list(tmp_path.glob("tests*"))


def test_a_shared_gpu_gets_what_is_pinned_elsewhere_and_no_compiler() -> None:
    """Torch by a range, since the Space brings one; nothing is compiled where passes run on a card."""
    supply = script("supply_chain")
    home, lent = (dict(supply.pinned(ROOT / f"requirements{end}.txt")) for end in ("", "-zerogpu"))
    assert lent == {name: version for name, version in home.items() if name not in ("torch", "numba", "llvmlite")}
    assert re.findall(r"^(spaces|torch)\b", read("requirements-zerogpu.txt"), re.MULTILINE) == ["spaces", "torch"]


def test_the_images_own_files_reach_the_builder() -> None:
    ignored = read(".dockerignore").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", read("Dockerfile"), re.MULTILINE)[0].split()
    assert all(f"!{name}" in ignored for name in copied)
    assert "-p 127.0.0.1:7860:7860" in read("Dockerfile").splitlines()[0]
    assert "docker run -p 7860" not in read("README.md") + read(HOSTING)


def test_what_is_locked_is_what_is_asked_for_and_all_of_it_has_a_hash() -> None:
    supply = script("supply_chain")
    locked = dict(supply.pinned(ROOT / "requirements.lock"))
    for asked in ("requirements.txt", "requirements-postgresql.txt"):
        assert locked.items() >= dict(supply.pinned(ROOT / asked)).items()
    blocks = re.split(r"\n(?=\w)", read("requirements.lock").strip())
    assert all("--hash=sha256:" in block for block in blocks)
    assert len(blocks) >= len(locked) > 50


def test_the_notice_names_all_that_is_locked() -> None:
    supply = script("supply_chain")
    named = [tuple(row.split(" | ")[:2]) for row in read("NOTICE").partition(supply.MARK)[2].splitlines()[2:]]
    assert named == supply.pinned(ROOT / "requirements.lock")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"License-Expression": "MIT", "License": "other"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD License"),
        ({"License": "Apache 2.0\nand much more"}, "Apache 2.0"),
        ({}, "unknown"),
    ],
)
def test_a_licence_is_what_a_package_says_of_itself(fields: dict[str, str], said: str) -> None:
    about = Message()
    for name, value in fields.items():
        about[name] = value
    assert script("supply_chain").licence(about) == said
