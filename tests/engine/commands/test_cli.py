"""The command line, run in process: what it prints, and one sentence for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import drafters, suites
from tests.engine.commands.conftest import PROMPT, Shell

ROOT = Path(__file__).parents[3]


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
    for kind in suites.OWN:
        assert f"Suites for a {kind} model: {', '.join(suites.own_names(kind))}\n" in out
    assert f"Suites of the field, found: {', '.join(suites.field_names()) or 'none'}\n" in out


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
    "rejection of chosen drafts": (
        "generate --method prompt_lookup --prompt x --model {m} --rule rejection --temperature 1",
        "rejection",
    ),
    "events nowhere": ("generate --method plain --prompt x --model {m} --events /no/such/folder/x", "/no/such/folder"),
    "unknown suite": ("audit --suite nosuch --model {m}", "nosuch"),
    "missing suite file": ("audit --suite nosuch.jsonl --model {m}", "nosuch.jsonl"),
    "a suite of the field elsewhere": ("audit --suite mbpp --suites /no/such --model {m}", "mbpp.jsonl in /no/such."),
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


def test_a_draft_model_is_named_once_for_all_methods_that_need_one(shell: Shell) -> None:
    fixed = ["--model", shell.model, "--dtype", "fp32", "--device", "cpu", "--max-new-tokens", 8, "--prompt", PROMPT]
    status, out, err = shell.run("generate", "--method", "rsd", "--draft", shell.draft, "--json", *fixed)
    assert (status, err) == (0, "")
    assert json.loads(out)["counts"]["proposed"] > 0
    status, _, err = shell.run("generate", "--method", "rsd", *fixed)
    assert (status, err.count("No draft model is known")) == (2, 1)
