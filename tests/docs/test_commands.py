"""Commands of the README, of make and of CI are understood by the programs that they call."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess

import pytest

from engine import cli, drafters, options
from engine.commands import flags, generate
from tests.docs.sections import ROOT, read


def engine_commands(text: str) -> list[list[str]]:
    """The arguments of every `python -m engine …` line."""
    found = re.findall(r"^\s*\S*python -m engine (.+?)(?:\s+#.*)?$", text, re.MULTILINE)
    return [shlex.split(command) for command in found]


def check_engine_command(arguments: list[str]) -> None:
    args = cli._parser().parse_args(arguments)
    given = generate.given_options(getattr(args, "set", []))
    if hasattr(args, "method"):
        options.parse(drafters.get(args.method).Options, given, args.method)
    if hasattr(args, "temperature"):
        flags.config_of(args)


def readme_commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", read("README.md"), re.DOTALL)
    return engine_commands("\n".join(blocks))


@pytest.mark.parametrize("arguments", readme_commands(), ids=" ".join)
def test_engine_commands_of_the_readme_are_understood(arguments: list[str]) -> None:
    check_engine_command(arguments)


def test_readme_shows_every_engine_command() -> None:
    shown = {arguments[0] for arguments in readme_commands()}
    assert shown == set(cli._parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr,arg-type]


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", read("README.md").replace("make and git", "")))
    assert {"run", "test", "check", "train"} <= named <= targets


def planned(*arguments: str) -> str:
    """What make would do."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_make_train_calls_the_engine_as_it_wants_to_be_called() -> None:
    commands = engine_commands(planned("train", "DATA=some folder", "OUT=out"))
    assert [command[:2] for command in commands] == [["train", "target"], ["train", "draft"]]
    for command in commands:
        check_engine_command(command)


def test_make_run_calls_the_app_as_it_wants_to_be_called() -> None:
    from specviz.flags import parse_flags

    plan = planned("run", "PORT=7999", "MODEL=some model", "DB=some.db")
    flags = parse_flags(shlex.split(next(line for line in plan.splitlines() if " app.py " in line))[2:])
    assert (flags.port, flags.model, flags.db) == (7999, "some model", "some.db")


def test_ci_runs_make_test_and_nothing_else() -> None:
    path = ROOT / ".ci" / "run"
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -euo pipefail"
    assert [line for line in lines[1:] if not line.startswith("cd ")] == ["make test"]
    assert path.stat().st_mode & 0o111 == 0o111
