"""`engine audit`: every method on a suite, those that differ, break or cannot run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import drafters
from engine.errors import RunFailed
from engine.tree import DraftTree
from tests.engine.commands.conftest import Shell, suite


def test_audit_compares_every_method_on_a_suite(shell: Shell, tmp_path: Path) -> None:
    command = ["audit", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "bf16", "--max-new-tokens", 9]
    status, out, err = shell.run(*command, "--methods", "plain,prompt_lookup", "--json")
    assert (status, err) == (0, "")
    rows = json.loads(out)
    assert [row["method"] for row in rows] == ["plain", "prompt_lookup"] * 2
    assert {row["verdict"] for row in rows} == {"identical"}
    status, out, _ = shell.run(*command, "--methods", "prompt_lookup", "--limit", 1)
    assert status == 0
    assert len(out.splitlines()) == 1


def test_audit_exits_with_one_where_a_method_differs(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def anything(tree: DraftTree, node: int, token: int) -> int | None:
        return next(iter(tree.children[node + 1]), None)

    monkeypatch.setattr("engine.verify.greedy.match", anything)
    command = ["audit", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32", "--max-new-tokens", 9]
    status, out, _ = shell.run(*command, "--methods", "prompt_lookup")
    assert status == 1
    assert "DIFFERENT" in out


def test_audit_of_all_methods_leaves_out_those_that_cannot_run_and_names_them(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafters, "names", lambda: ["plain", "draft_model", "prompt_lookup", "medusa"])
    command = ["audit", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32", "--max-new-tokens", 4]
    status, out, err = shell.run(*command, "--limit", 1, "--json")
    named = {line.partition(".")[0].removeprefix("Not audited: ") for line in err.splitlines()}
    assert status == 0
    assert named == {"draft_model", "medusa"}
    assert [row["method"] for row in json.loads(out)] == ["plain", "prompt_lookup"]
    status, _, err = shell.run(*command, "--methods", "medusa")
    assert status == 2, "one that was asked for by name is not left out"
    assert "medusa" in err


def test_audit_says_which_method_broke(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RunFailed("The scripted fault.")

    command = ["audit", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32", "--max-new-tokens", 4]
    monkeypatch.setattr(drafters.get("prompt_lookup"), "propose", broken)
    status, out, _ = shell.run(*command, "--methods", "plain,prompt_lookup", "--limit", 1, "--json")
    assert status == 1
    assert [row["verdict"] for row in json.loads(out)] == ["identical", "failed"]
    assert "The scripted fault." in json.loads(out)[1]["text"]
    monkeypatch.setattr(drafters.get("plain"), "propose", broken)
    status, out, err = shell.run(*command, "--methods", "plain", "--limit", 1)
    assert (status, out) == (1, "")
    assert "The scripted fault." in err


def test_heads_of_the_targets_family_are_named_once_on_stderr_and_in_each_row(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "The heads were trained on other weights of the same model."
    monkeypatch.setattr(drafters.get("prompt_lookup"), "caveat", said)
    command = ["audit", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "bf16", "--max-new-tokens", 4]
    status, out, err = shell.run(*command, "--methods", "plain,prompt_lookup", "--json")
    assert (status, err) == (0, f"{said}\n")
    assert [row["caveat"] for row in json.loads(out)] == ["", said] * 2
