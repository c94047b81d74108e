"""The command line, run in process: what it prints, and one sentence for every mistake."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import cli, drafters, events, models
from engine.bench import runner, to_markdown
from engine.errors import RunFailed
from engine.events import SessionFinished, SessionStarted
from engine.tree import DraftTree

ROOT = Path(__file__).parents[3]
REPORT = "text token_ids method options model device dtype stop_reason counts metrics audit".split()
COUNTS = "steps proposed accepted emitted target_passes".split()
METRICS = {"block_efficiency", "tokens_per_second", "time_to_first_token_ms", "draft_ms", "target_ms", "host_ms"}
PROMPT = "Tim found a red ball. Tim found a red"


class Shell:
    """Runs commands and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str], model: Path, draft: Path) -> None:
        self.capsys, self.model, self.draft = capsys, str(model), str(draft)

    def run(self, *words: object) -> tuple[int, str, str]:
        status = cli.main([str(word) for word in words])
        printed = self.capsys.readouterr()
        return status, printed.out, printed.err

    def generate(self, method: str, *words: object, prompt: str | None = PROMPT) -> tuple[int, str, str]:
        given = [] if prompt is None else ["--prompt", prompt]
        more = ["--set", f"model={self.draft}"] if method == "draft_model" else []
        fixed = ["--model", self.model, "--dtype", "fp32", "--device", "cpu", "--max-new-tokens", 12]
        return self.run("generate", "--method", method, *given, *more, *fixed, *words)

    def report(self, method: str, *words: object, prompt: str | None = PROMPT) -> dict[str, Any]:
        status, out, err = self.generate(method, "--json", *words, prompt=prompt)
        assert (status, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], model_folder: Path, draft_folder: Path) -> Shell:
    return Shell(capsys, model_folder, draft_folder)


def test_methods_lists_every_method_with_its_options(shell: Shell) -> None:
    status, out, err = shell.run("methods", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert (status, err) == (0, "")
    assert list(rows) == drafters.names()
    for row in rows.values():
        assert {"name", "source", "needs", "guarantee", "options", "available"} <= set(row)
    assert rows["prompt_lookup"]["available"] is True
    depth = next(row for row in rows["draft_model"]["options"] if row["name"] == "depth")
    assert {"name", "default", "help", "low", "high", "unit", "choices"} <= set(depth)
    status, out, _ = shell.run("methods")
    assert status == 0
    assert all(name in out for name in rows)


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


def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in (PROMPT, "The cat sat on the mat. The")))
    return path


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


def bench_command(shell: Shell, tmp_path: Path) -> list[object]:
    more = ["--methods", "prompt_lookup", "--limit", 2, "--repeats", 2, "--max-new-tokens", 9]
    return ["bench", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32", *more]


def test_bench_prints_a_table_and_writes_a_report(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    status, out, err = shell.run(*bench_command(shell, tmp_path), "--peers", "--json", path)
    assert status == 0, err
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


BAD: dict[str, tuple[str, str]] = {
    "no command": ("", "COMMAND"),
    "unknown command": ("fly", "fly"),
    "no method": ("generate --prompt x", "--method"),
    "no prompt": ("generate --method plain", "--prompt"),
    "two prompts": ("generate --method plain --prompt x --prompt-file y", "--prompt"),
    "unknown method": ("generate --method magic --prompt x", "Unknown method 'magic'; there are: "),
    "unknown option": ("generate --method prompt_lookup --set width=3 --prompt x", "depth, fallback"),
    "option out of range": ("generate --method prompt_lookup --set depth=0 --prompt x", "from 1 to 64 tokens"),
    "options that clash": ("generate --method prompt_lookup --set min_ngram=9 --prompt x --model {m}", "min_ngram"),
    "option without a value": ("generate --method prompt_lookup --set depth --prompt x", "OPTION=VALUE"),
    "unknown flag": ("generate --method plain --prompt x --colour red", "--colour"),
    "temperature": ("generate --method plain --prompt x --temperature -1", "temperature"),
    "top-p 0": ("generate --method plain --prompt x --top-p 0", "top_p"),
    "top-p 2": ("generate --method plain --prompt x --top-p 2", "top_p"),
    "no tokens": ("generate --method plain --prompt x --max-new-tokens 0", "max_new_tokens"),
    "negative tokens": ("generate --method plain --prompt x --max-new-tokens=-3", "max_new_tokens"),
    "tokens in words": ("generate --method plain --prompt x --max-new-tokens many", "max_new_tokens"),
    "rule against temperature": ("generate --method plain --prompt x --rule greedy --temperature 1", "greedy"),
    "unknown model": ("generate --method plain --prompt x --model nosuch", "story"),
    "hub model offline": ("generate --method plain --prompt x --model nobody/nothing", "nobody/nothing"),
    "empty prompt": ("generate --method plain --prompt= --model {m}", "empty"),
    "missing prompt file": ("generate --method plain --prompt-file /no/such/file --model {m}", "/no/such/file"),
    "binary prompt file": ("generate --method plain --prompt-file {b} --model {m}", "UTF-8"),
    "prompt too long": ("generate --method plain --prompt-file {l} --model {m}", "256"),
    "unknown dtype": ("generate --method plain --prompt x --dtype int4 --model {m}", "bf16"),
    "unknown device": ("generate --method plain --prompt x --device tpu --model {m}", "cpu"),
    "no draft model": ("generate --method draft_model --prompt x --model {m}", "draft model"),
    "draft with another vocabulary": (
        "generate --method draft_model --prompt x --model {m} --set model=models/story-draft",
        "vocabulary",
    ),
    "rejection on a tree": (
        "generate --method draft_model --prompt x --model {m} --set model={d} --set width=2 --rule rejection"
        " --temperature 1",
        "rejection",
    ),
    "events nowhere": ("generate --method plain --prompt x --model {m} --events /no/such/folder/x", "/no/such/folder"),
    "unknown suite": ("audit --suite nosuch --model {m}", "nosuch"),
    "missing suite file": ("audit --suite nosuch.jsonl --model {m}", "nosuch.jsonl"),
    "no prompts": ("audit --limit 0 --model {m}", "--limit"),
    "prompts in words": ("audit --limit all --model {m}", "--limit"),
    "unknown method to audit": ("audit --methods plain,magic --model {m}", "magic"),
    "no repeats": ("bench --repeats 0 --model {m}", "--repeats"),
    "bench of an unknown method": ("bench --methods plain,magic --model {m}", "magic"),
    "bench of an unknown suite": ("bench --suite story,nosuch --model {m}", "nosuch"),
    "report to nowhere": ("bench --model {m} --json /no/such/folder/x", "/no/such/folder"),
    "runs kept nowhere": ("bench --model {m} --resume /no/such/folder/x", "/no/such/folder"),
    "runs kept in something else": ("bench --model {m} --resume {l}", "holds no unfinished bench"),
    "sampling peers": ("bench --model {m} --peers --temperature 1", "--peers needs temperature 0"),
    "train nobody": ("train nobody --data /tmp", "nobody"),
    "train without data": ("train target", "--data"),
    "train on nothing": ("train target --data /no/such/folder", "/no/such/folder"),
    "draft without a target": ("train draft --data {m}", "--target"),
    "no minutes": ("train target --data {m} --limit-minutes 0", "--limit-minutes"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_sentence_on_stderr_and_status_2(case: str, shell: Shell, tmp_path: Path) -> None:
    binary, long = tmp_path / "binary", tmp_path / "long.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    long.write_text("word " * 400 + "\n")
    command, said = BAD[case]
    words = command.format(m=shell.model, d=shell.draft, b=binary, l=long).split()
    status, out, err = shell.run(*words)
    assert status == 2
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


def test_a_wrong_command_points_to_help_that_exists(shell: Shell) -> None:
    _, _, err = shell.run("fly")
    assert "python -m engine --help" in err
    _, _, err = shell.run("generate", "--method", "plain")
    assert "python -m engine generate --help" in err


def test_a_run_that_breaks_exits_with_one_and_says_why(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: object) -> None:
        raise RuntimeError("the machine is on fire")

    monkeypatch.setattr("engine.drafters.copying.prompt_lookup.PromptLookup.propose", explode)
    status, _, err = shell.generate("prompt_lookup")
    assert status == 1
    assert "the machine is on fire" in err
    assert "Traceback" not in err


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "engine", "methods", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [row["name"] for row in json.loads(done.stdout)] == drafters.names()
    assert done.stderr == ""


def test_a_model_whose_rows_depend_on_each_other_says_so_beforehand(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--method", "plain", "--model", str(model_folder), "--prompt", "the cat"]
    words += ["--max-new-tokens", "2"]
    assert cli.main(words) == 0
    assert "Near-tie possible" not in capsys.readouterr().err
    monkeypatch.setattr("engine.runtime.runner.can_compile", lambda model: False)
    monkeypatch.setattr("engine.runtime.runner.are_row_invariant", lambda model: False)
    models.forget()
    assert cli.main(words) == 0
    assert "Near-tie possible: on cpu" in capsys.readouterr().err
