"""docs/adding-a-method.md, done as it says: the files it shows are found everywhere a method is."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine import cli, drafters
from engine.commands.bench import _plan
from engine.target import Target
from specviz.decoding.local import LocalDevice

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "adding-a-method.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [shlex.split(line) for line in re.findall(r"^python .*$", PAGE, re.MULTILINE)]
METHOD, TEST = FILES
CHECKS = {
    "test_a_method_describes_itself": "test_registry",
    "test_options_are_frozen_data_with_help_and_bounds": "test_registry",
    "test_an_unknown_option_is_refused": "test_registry",
    "test_at_the_ends_of_its_options_a_method_is_exact_or_says_why_not": "test_contract",
    "test_counts_add_up": "test_contract",
    "test_nothing_that_a_session_learns_reaches_another": "test_contract",
}
"""What the family's suites ask of every method, and which of them."""


@pytest.fixture(autouse=True)
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's files, found as if they stood in their folders."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    module = METHOD.removesuffix(".py").replace("/", ".")
    family = importlib.import_module(module.rpartition(".")[0])
    for package, folder in ((drafters, "engine/drafters"), (family, Path(METHOD).parent)):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / folder)])
    drafters._modules.cache_clear()
    yield
    sys.modules.pop(module, None)
    monkeypatch.undo()
    drafters._modules.cache_clear()


def loaded(path: Path) -> ModuleType:
    """A test file as a module of its own."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(name: str, *more: str) -> list[str]:
    """The words of the page behind `python -m engine`, and more."""
    found = next(words for words in COMMANDS if words[1:4] == ["-m", "engine", name])
    return [*found[3:], *more]


def test_its_own_test_passes(tmp_path: Path) -> None:
    module = loaded(tmp_path / TEST)
    tests = [test for name, test in vars(module).items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


@pytest.mark.parametrize("check", CHECKS)
def test_the_contract_of_every_method_holds(check: str, llama: Target) -> None:
    suite = loaded(ROOT / f"tests/engine/drafters/{CHECKS[check]}.py")
    assert "echo" in suite.NAMES
    wanted = getattr(suite, check)
    wanted("echo", llama) if "llama" in wanted.__annotations__ else wanted("echo")


def test_it_drafts_no_more_than_there_is_room_for(llama: Target) -> None:
    contract = loaded(ROOT / "tests/engine/drafters/test_room.py")
    contract.test_no_more_is_drafted_than_may_still_be_emitted("echo", llama)
    contract.test_proposals_are_trees_within_the_room_and_the_vocabulary("echo", {}, llama)


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "top_p": 0.9, "seed": 3}], ids=["greedy", "sampled"])
def test_its_text_is_that_of_plain_decoding(settings: dict[str, Any], llama: Target) -> None:
    loaded(ROOT / "tests/engine/drafters/test_contract.py").test_the_text_is_that_of_plain_decoding(
        "echo", settings, llama
    )


def test_the_command_line_lists_it_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(command("methods")) == 0
    shown = capsys.readouterr().out
    assert "echo             exact  needs nothing." in shown
    assert "depth=3: Times to repeat the last token." in shown


def test_generate_decodes_with_it_and_the_audit_finds_no_difference(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command("generate", "--model", str(model_folder), "--dtype", "fp32", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["method"], found["options"]) == ("echo", {"depth": 2})
    assert found["counts"]["proposed"] > 0
    assert found["audit"]["verdict"] == "identical"


def test_a_benchmark_takes_it_into_its_plan(model_folder: Path) -> None:
    words = command("bench", "--model", str(model_folder), "--dtype", "fp32")
    _, plan = _plan(cli._parser().parse_args(words))
    assert "echo" in plan.methods


def test_the_page_offers_it_with_a_control_for_its_option() -> None:
    offered = {method.name: method for method in LocalDevice().methods()}
    assert [option.name for option in offered["echo"].options] == ["depth"]
    assert ["python", "app.py"] in COMMANDS
