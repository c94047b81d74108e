"""`engine audit --sampled`: methods under rules and settings, refusals by name, the report, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import sampled_audit
from engine.commands.sampled import in_words, rule_names
from engine.config import GenerationConfig
from engine.sampled_counts import SampledAudit
from tests.engine.commands.conftest import Shell, suite

QUICK = ["--seconds", "0.001", "--max-new-tokens", 6, "--distortion", "0.2", "--limit", 1]


def test_methods_rules_and_settings_are_audited_and_reported(shell: Shell, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = ["audit", "--sampled", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32", *QUICK]
    status, out, err = shell.run(
        *command, "--methods", "plain,stand", "--rules", "rejection,node_sampling,k_seq,typical", "--report", report
    )
    assert status == 0, err
    found = json.loads(report.read_text())
    cells = {(row["method"], row["rule"]) for row in found["rows"]}
    assert cells == {("plain", rule) for rule in ("rejection", "node_sampling", "k_seq", "typical")} | {
        ("stand", rule) for rule in ("rejection", "node_sampling", "typical")
    }
    assert "stand under k_seq. Rule k_seq needs siblings that are drawn independently" in err
    settings = ["T 0.7", "T 1", "T 1, top-p 0.9", "T 1, top-k 20", "all settings"]
    assert [row["setting"] for row in found["rows"]] == settings * 7
    verdicts = {(row["method"], row["rule"]): row["verdict"] for row in found["rows"]}
    assert {verdicts["plain", rule] for rule in ("rejection", "node_sampling", "k_seq")} == {"cut short"}
    assert (verdicts["stand", "rejection"], verdicts["stand", "node_sampling"]) == ("cut short", "identical")
    assert (verdicts["plain", "typical"], verdicts["stand", "typical"]) == ("lossy", "lossy")
    assert found["num_tests"] == 5 * 5, "the lossy rule is no test"
    assert found["alpha"] == pytest.approx(1e-3 / 25)
    assert len(out.splitlines()) == len(found["rows"])


def test_a_temperature_that_is_asked_for_is_the_only_setting_and_a_difference_fails(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    different = SampledAudit("DIFFERENT", 80, 300.0, 1e-12, 0.1, 0.2, 0, 1.5, 0.1)
    monkeypatch.setattr(sampled_audit.MethodAudit, "findings", lambda audit: [different])
    command = ["audit", "--sampled", "--suite", suite(tmp_path), "--model", shell.model, "--dtype", "fp32", *QUICK]
    status, out, _ = shell.run(
        *command, "--methods", "plain", "--rules", "rejection", "--temperature", 0.8, "--top-k", 9, "--json"
    )
    assert status == 1
    (row,) = json.loads(out)["rows"]
    assert (row["verdict"], row["setting"]) == ("DIFFERENT", "T 0.8, top-k 9")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rules", "magic"], "magic"),
        (["--rules", "greedy"], "above temperature 0"),
        (["--distortion", "0"], "--distortion is 0"),
        (["--report", "/no/such/folder/x.json"], "no folder"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_a_sentence(words: list[str], said: str, shell: Shell) -> None:
    status, _, err = shell.run("audit", "--sampled", "--methods", "plain", "--model", shell.model, *words)
    assert status == 2
    assert said in err


def test_settings_in_words_and_rules_of_all() -> None:
    assert in_words(GenerationConfig(temperature=1.0, top_p=0.9, top_k=5)) == "T 1, top-p 0.9, top-k 5"
    assert "greedy" not in rule_names("all")
    assert {"k_seq", "node_sampling", "typical"} <= set(rule_names("all"))
