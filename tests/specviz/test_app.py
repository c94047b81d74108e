from __future__ import annotations

import signal
import socket
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest

import app
from engine import models
from engine.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


def start(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "app.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(app.AddressTaken, match=f"Cannot listen on 127.0.0.1:{port}"):
            app.check_address("127.0.0.1", port)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**9])
def test_a_port_that_does_not_exist_is_one_sentence(port: int) -> None:
    with pytest.raises(app.AddressTaken, match="1 to 65535"):
        app.check_address("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(app.AddressTaken, match="--host"):
        app.check_address("no host at all", 7860)


def test_listening_beyond_this_machine_without_a_password_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("127.0.0.1", "127.0.1.1", "localhost", "::1"):
        assert app.warning(host, False, False) == ""
    assert "SPECVIZ_AUTH" in app.warning("0.0.0.0", False, False)
    assert "listening on 192.168.1.5" in app.warning("192.168.1.5", False, False)
    assert app.warning("0.0.0.0", True, False) == app.warning("0.0.0.0", False, True) == ""


def test_which_model_opens_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "default_model", lambda: models.Default("story", "Model story, since."))
    assert app.model_from(Namespace(model="")) == ("story", "Model story, since.")
    assert capsys.readouterr().out == "Model story, since.\n"
    assert app.model_from(Namespace(model="asked-for")) == ("asked-for", "")
    monkeypatch.setattr(models, "default_model", lambda: models.Default("named"))
    assert (app.model_from(Namespace(model="")), capsys.readouterr().out) == (("named", ""), "")


def test_an_unknown_model_exits_with_2_and_says_what_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *given: None)  # the tests' own process keeps its end
    assert app.main(["--model", "nonsense", "--port", str(free_port()), "--db", str(tmp_path / "runs.db")]) == 2
    assert "story" in capsys.readouterr().err


def test_a_corrupt_database_exits_with_2_and_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "broken.db"
    database.write_bytes(b"this is no database at all, " * 400)
    done = start("--port", str(free_port()), "--db", str(database))
    assert done.returncode == 2
    assert "broken.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert database.read_bytes().startswith(b"this is no database")


def test_mcp_without_its_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install \"gradio\[mcp\]\""):
        app.check_mcp()


def test_a_space_without_a_shared_gpu_needs_no_package_and_one_with_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert app.shared_gpu() is None
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", None)
    with pytest.raises(SystemExit, match=r"this Space shares a GPU.*install requirements-zerogpu.txt"):
        app.shared_gpu()
    package = ModuleType("spaces")
    monkeypatch.setitem(sys.modules, "spaces", package)
    assert app.shared_gpu() is package
