"""`engine bench`: table and report, methods left out, runs that are interrupted and go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import drafters
from engine.bench import runner, to_markdown
from tests.engine.commands.conftest import Shell, suite


def bench_command(shell: Shell, tmp_path: Path) -> list[object]:
    more = ["--methods", "prompt_lookup", "--limit", 2, "--repeats", 2, "--max-new-tokens", 9]
    return ["bench", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32", *more]


def test_bench_prints_a_table_and_writes_a_report(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    path = tmp_path / "report.json"
    status, out, err = shell.run(*bench_command(shell, tmp_path), "--peers", "--json", path)
    assert status == 0, err
    assert "llama.cpp is left out. Its package is not installed" in err
    report = json.loads(path.read_text())
    assert out.strip() == to_markdown(report).strip()
    contenders = ["plain", "prompt_lookup", "generate", "generate(prompt_lookup)"]
    assert list(report["contenders"]) == contenders
    assert len(report["cells"]) == len(contenders) * 2 * 2
    assert {row["same_text"] for row in report["rows"]} == {"4/4"}
    assert [cost["num_rows"] for cost in report["row_cost"]["passes"]] == [1, 2, 4, 8, 16, 32, 64]
    assert report["command"].startswith("python -m engine bench --suite suite.jsonl --model target ")
    assert str(tmp_path) not in report["command"]
    assert report["definitions"]["speedup_per_block_efficiency"]
    assert not report["config"]["has_detail"]


def test_above_temperature_0_exact_methods_write_plain_decodings_text(shell: Shell, tmp_path: Path) -> None:
    status, out, err = shell.run(*bench_command(shell, tmp_path), "--temperature", 0.8, "--seed", 5)
    assert status == 0, err
    assert ", temperature 0.8, rule auto, seed 5, at most 9 tokens," in out
    assert out.count("| 4/4 |") == 2, "plain and prompt_lookup"


def test_bench_leaves_out_methods_that_cannot_run_unless_they_are_asked_for(shell: Shell, tmp_path: Path) -> None:
    command = bench_command(shell, tmp_path)
    status, out, _ = shell.run(*command, "--methods", "all")
    assert status == 0
    assert "`prompt_lookup`" in out
    assert "draft_model" not in out
    status, _, err = shell.run(*command, "--methods", "draft_model")
    assert status == 2
    assert "No draft model is known" in err


def test_an_interrupted_bench_reports_what_there_is_and_goes_on(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, command = tmp_path / "runs.jsonl", bench_command(shell, tmp_path)
    started = 0

    def interrupting(*args: Any) -> Any:
        nonlocal started
        started += 1
        if started == 2 + 3 + 3:  # warm-up, one round, and all but the last run of the next
            raise KeyboardInterrupt
        return time_method(*args)

    time_method = runner._time_method
    monkeypatch.setattr(runner, "_time_method", interrupting)
    status, out, err = shell.run(*command, "--resume", journal, "--json", tmp_path / "half.json")
    assert status == 1
    assert "Interrupted: what follows" in err
    assert out.startswith("**Interrupted")
    half = json.loads((tmp_path / "half.json").read_text())
    assert [half["is_complete"], len(half["cells"])] == [False, 2]
    assert len(journal.read_text().splitlines()) == 1 + 3
    monkeypatch.setattr(runner, "_time_method", time_method)
    status, _, err = shell.run(*command, "--resume", journal, "--json", tmp_path / "whole.json")
    assert status == 0, err
    whole = json.loads((tmp_path / "whole.json").read_text())
    assert [whole["is_complete"], len(whole["cells"])] == [True, 8]
    assert whole["cells"][:2] == half["cells"]
    status, out, err = shell.run(*command, "--resume", journal, "--temperature", 1)
    assert (status, out) == (2, "")
    assert "config.temperature was 0.0 and is 1.0" in err


def test_a_bench_interrupted_at_once_has_nothing_to_report(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupting(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_time_method", interrupting)
    status, out, err = shell.run(*bench_command(shell, tmp_path))
    assert (status, out) == (1, "")
    assert "nothing to report" in err


def test_what_is_to_be_said_of_a_method_stands_on_stderr_in_the_report_and_in_its_texts(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "The heads were trained on other weights of the same model."
    monkeypatch.setattr(drafters.get("prompt_lookup"), "caveat", said)
    path = tmp_path / "report.json"
    status, out, err = shell.run(*bench_command(shell, tmp_path), "--json", path)
    assert status == 0, err
    report = json.loads(path.read_text())
    assert report["caveats"] == [said]
    assert err.count(said) == out.count(said) == 1
    del report["caveats"]
    assert said not in to_markdown(report), "a report of a former version"
