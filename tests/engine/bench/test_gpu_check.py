"""The check of a GPU, tried on a CPU with a tiny model: its figures, its report, and the page that opens it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import steps_of

from engine import cli, drafters
from engine.bench import gpu_check, synthetic
from engine.bench.gpu_page import SYNTHETIC, to_markdown
from engine.config import GenerationConfig
from engine.errors import UnknownName
from engine.loop import generate
from engine.models import memory
from engine.runtime import prepared
from engine.target import Target
from specviz.bench import Shelf, foreign

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gpu_check, "row_costs", lambda target: gpu_check_rows(target))
        return gpu_check.check(["tiny"], CPU, torch.float32, num_tokens=12, num_repeats=2, tell=lambda said: None)


whole_rows = gpu_check.row_costs


def gpu_check_rows(target: Target) -> Any:
    return whole_rows(target, num_rounds=1)


def test_a_synthetic_model_recites_and_an_oracle_errs_as_often_as_it_is_told() -> None:
    with prepared.static_everywhere():
        target = Target(synthetic.reciter("tiny", CPU, torch.float32))
    config = GenerationConfig(max_new_tokens=60)
    for rate, least, most in ((0.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.3, 0.5, 0.9)):
        oracle = synthetic.Oracle(synthetic.OracleOptions(4, rate), target)
        steps = steps_of(list(generate(target, oracle, [5, 9], config)))
        text = [token.token_id for step in steps for token in step.emitted]
        assert text == [(10 + i) % 256 for i in range(60)]
        firsts = [step.nodes[0].status == "accepted" for step in steps if step.nodes]
        assert least <= sum(firsts) / len(firsts) <= most
    assert synthetic.Oracle.name not in drafters.names()


def test_every_contender_writes_the_known_text_and_is_labelled(report: dict[str, Any]) -> None:
    cells = report["cells"]
    assert {cell["suite"] for cell in cells} == {"synthetic tiny"}
    assert len(cells) == 2 * 2 * (1 + len(gpu_check.ORACLES))
    assert all(cell["is_same_text"] for cell in cells)
    assert all(cell["num_emitted"] == 12 for cell in cells)
    by_name = {cell["method"]: cell for cell in cells}
    assert by_name["oracle 95%, depth 8"]["target_passes"] < by_name["plain"]["target_passes"] == 12
    assert report["caveats"] == [SYNTHETIC]


def test_what_is_measured_of_a_size(report: dict[str, Any]) -> None:
    assert report["gpu_check"]["bytes_per_second"] > 0
    (found,) = report["gpu_check"]["sizes"]
    assert [cost["num_rows"] for cost in found["row_costs"]] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert found["row_costs"][0]["ratio"] == found["eager_row_costs"][0]["ratio"] == 1
    assert found["share_of_bound"] == pytest.approx(found["plain_tokens_per_second"] / found["bound_tokens_per_second"])
    assert found["step_ms"] >= found["host_ms"] >= 0
    assert found["waits_per_step"] is None, "a CPU is never waited for"
    assert found["weight_bytes"] == memory.weight_bytes("", synthetic.config_of("tiny"), torch.float32)


def test_the_page_opens_the_report(report: dict[str, Any], tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.take_in("0" * 32, foreign.read(json.dumps(report)), "A GPU")
    opened = shelf.open("0" * 32)
    assert {row["method"] for row in opened["rows"]} == {cell["method"] for cell in report["cells"]}
    assert opened["model"] == "synthetic tiny"


def test_the_page_of_the_check_says_what_is_synthetic(report: dict[str, Any]) -> None:
    page = to_markdown(report)
    assert page.startswith(f"**{SYNTHETIC}**")
    for words in ("Bandwidth by copying:", "| tiny | 0 MB |", "tiny, graphed: 1 → ", "tiny, eager: 1 → ", "`plain`"):
        assert words in page


def test_a_size_that_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    said: list[str] = []
    found = gpu_check.check(["7B"], CPU, torch.bfloat16, tell=said.append)
    assert found["cells"] == []
    assert said == ["The 7B model is left out: it needs 15.6 GB, and 0 MB are free."]


def test_a_size_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UnknownName, match="Unknown size of a synthetic model '9B'; there are: 1B, 7B, tiny"):
        gpu_check.check(["9B"], CPU, torch.bfloat16)


def test_the_command_wants_a_gpu_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--gpu-check"]) == 2
    assert "Device 'cuda' cannot be used here" in capsys.readouterr().err


def test_the_command_writes_both_forms(
    tmp_path: Path, report: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(gpu_check, "check", lambda *given, **more: asked.append(given) or dict(report))
    path = tmp_path / "gpu.json"
    words = ["bench", "--gpu-check", "tiny", "--device", "cpu", "--dtype", "bf16", "--json", str(path)]
    assert cli.main([*words, "--max-new-tokens", "7"]) == 0
    assert asked == [(["tiny"], CPU, torch.bfloat16, 7, 3)]
    assert json.loads(path.read_text())["command"].startswith("python -m engine bench --gpu-check tiny")
    assert "Synthetic" in capsys.readouterr().out
