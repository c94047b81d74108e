"""A shell that runs commands in process, on a tiny target and its draft model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import cli
from engine.runtime.cpu.decoder import announce_compiling

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
    announce_compiling()  # said once in a process, and where nothing is compiled yet
    capsys.readouterr()
    return Shell(capsys, model_folder, draft_folder)


def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in (PROMPT, "The cat sat on the mat. The")))
    return path
