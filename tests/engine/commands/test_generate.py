"""`engine generate`: what it prints, where prompts come from, events as lines."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import cli, events, models, run_report
from engine.events import SessionFinished, SessionStarted
from tests.engine.commands.conftest import PROMPT, Shell

REPORT = "text token_ids method options model device dtype stop_reason counts metrics".split()
REPORT += "speculative_decoding latency memory_bytes notices audit".split()
COUNTS = "steps proposed accepted emitted target_passes".split()
METRICS = {"block_efficiency", "tokens_per_second", "time_to_first_token_ms", "draft_ms", "target_ms", "host_ms"}


def test_without_a_model_the_default_is_taken_and_said(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "default_model", lambda: models.Default(shell.model, "Model so-and-so, since."))
    words = f"generate --method plain --dtype fp32 --device cpu --max-new-tokens 2 --json --prompt {PROMPT.split()[0]}"
    status, out, err = shell.run(*words.split())
    assert (status, err.splitlines()[0], json.loads(out)["model"]) == (0, "Model so-and-so, since.", shell.model)


@pytest.mark.parametrize("method", ["plain", "prompt_lookup", "draft_model"])
def test_generate_json_prints_one_object_with_the_agreed_keys(method: str, shell: Shell) -> None:
    report = shell.report(method, "--audit")
    assert list(report) == REPORT
    assert list(report["counts"]) == COUNTS
    assert set(report["metrics"]) >= METRICS
    assert (report["method"], report["dtype"], report["device"]) == (method, "float32", "cpu")
    assert report["counts"]["emitted"] == len(report["token_ids"])
    assert report["audit"]["verdict"] == "identical"
    assert report["stop_reason"] in ("length", "eos")
    assert report["metrics"]["block_efficiency"] == report["counts"]["emitted"] / report["counts"]["target_passes"]
    told = report["speculative_decoding"]
    assert sum(told["per_step_drafted"]) == told["num_draft_tokens"] == report["counts"]["proposed"]
    assert sum(told["per_step_accepted"]) == told["num_accepted_draft_tokens"] == report["counts"]["accepted"]
    assert set(report["latency"]["step_time_ms"]) == {"p50", "p90", "p99"}
    assert report["notices"] == [], "too few steps to say"


def test_acceptance_that_looks_wrong_is_said_once(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_report, "notices", lambda found: [f"{found.num_draft_tokens > 0} so."])
    assert shell.generate("draft_model")[2] == "Notice: True so.\n"
    out = shell.generate("draft_model", "--json")[1]
    assert json.loads(out)["notices"] == ["True so."]


def test_every_method_prints_the_same_tokens(shell: Shell) -> None:
    plain = shell.report("plain")
    assert plain["audit"] is None
    for method in ("prompt_lookup", "draft_model"):
        assert shell.report(method)["token_ids"] == plain["token_ids"]
    sampled = ["--temperature", 0.8, "--seed", 5, "--top-k", 30, "--top-p", 0.9, "--repetition-penalty", 1.2]
    texts = {shell.report(method, *sampled, "--audit")["text"] for method in ("plain", "prompt_lookup", "draft_model")}
    assert len(texts) == 1
    assert texts != {plain["text"]}


def test_generate_prints_the_text_as_it_is(shell: Shell) -> None:
    report = shell.report("prompt_lookup")
    status, out, err = shell.generate("prompt_lookup", "--audit")
    assert status == 0
    assert out == report["text"] + "\n"
    assert err.startswith("Audit: identical to plain decoding (12 tokens)")


def test_a_prompt_comes_from_a_file_or_from_standard_input(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(PROMPT.encode())
    wanted = shell.report("plain")["token_ids"]
    assert shell.report("plain", "--prompt-file", path, prompt=None)["token_ids"] == wanted
    for encoding in ("utf-8", "utf-8-sig"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PROMPT.encode(encoding))))
        assert shell.report("plain", "--prompt-file", "-", prompt=None)["token_ids"] == wanted
    path.write_bytes(PROMPT.encode("utf-8-sig"))
    assert shell.report("plain", "--prompt-file", path, prompt=None)["token_ids"] == wanted


def test_set_changes_a_methods_options(shell: Shell) -> None:
    report = shell.report("prompt_lookup", "--set", "depth=2", "--set", "tie=first")
    assert report["options"].items() >= {"depth": 2, "max_ngram": 3, "min_ngram": 1, "tie": "first"}.items()


def test_stop_ends_at_the_string(shell: Shell) -> None:
    text = shell.report("plain")["text"]
    report = shell.report("draft_model", "--stop", text[:3])
    assert report["stop_reason"] == "stop_string"
    assert len(report["token_ids"]) < 12


def test_events_are_written_as_lines_to_a_file_or_to_standard_output(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    status, _, err = shell.generate("draft_model", "--events", path)
    assert (status, err) == (0, "")
    found = [events.from_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert isinstance(found[0], SessionStarted)
    assert isinstance(found[-1], SessionFinished)
    status, out, _ = shell.generate("draft_model", "--events", "-")
    assert status == 0
    assert len(out.splitlines()) == len(found)
    print("standard output is still open")


def test_a_model_whose_rows_depend_on_each_other_says_so_beforehand(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--method", "plain", "--model", str(model_folder), "--prompt", "the cat"]
    words += ["--max-new-tokens", "2"]
    assert cli.main(words) == 0
    assert "Near-tie possible" not in capsys.readouterr().err
    monkeypatch.setattr("engine.runtime.cpu.decoder.supports", lambda model: False)
    monkeypatch.setattr("engine.runtime.runner.are_row_invariant", lambda model: False)
    models.forget()
    assert cli.main(words) == 0
    assert "Near-tie possible: on cpu" in capsys.readouterr().err
