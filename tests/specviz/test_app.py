from __future__ import annotations

import signal
import socket
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

import app
from engine import models
from engine.errors import BadInput
from specviz.policy import HOME, PUBLIC, SPECS

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


def test_flags_have_defaults_and_spaces_listen_to_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "SPECVIZ_MODEL"):
        monkeypatch.delenv(name, raising=False)
    flags = app.parse_flags([])
    assert (flags.host, flags.port, flags.model, flags.db) == ("127.0.0.1", 7860, None, None)
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    assert app.parse_flags([]).host == "0.0.0.0"


def test_every_flag_has_a_name_in_the_environment_and_a_flag_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"host": "::1", "port": "99", "model": "m", "draft": "d", "dtype": "fp32", "device": "cpu", "db": "x.db"}
    given |= {"weights": "/a:/b", "metrics": "9", "public": "yes", "mcp": "1", "hosts": "a,b", "frames": "https://c"}
    given |= {"max_context": "512"}
    given |= {spec.name: str(spec.default) or "a" for spec in SPECS}
    for name, value in given.items():
        monkeypatch.setenv(f"SPECVIZ_{name.upper()}", value)
    assert vars(app.parse_flags([])) == {
        **given,
        "port": 99,
        "metrics": 9,
        "public": True,
        "mcp": True,
        "max_context": 512,
    }
    flags = app.parse_flags(["--port", "7", "--no-public", "--dtype", "bf16", "--no-mcp"])
    assert (flags.port, flags.public, flags.dtype, flags.mcp) == (7, False, "bf16", False)


def test_the_policy_is_read_from_flags_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert app.policy_from(app.parse_flags([])) == HOME
    monkeypatch.setenv("SPECVIZ_MAX_TOKENS", "64")
    monkeypatch.setenv("SPECVIZ_MODERATOR", "sesame")
    said = app.policy_from(app.parse_flags(["--public", "--imports", "small"]))
    assert said == replace(PUBLIC, max_tokens=64, imports="small", moderator="sesame")
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    assert [app.policy_from(app.parse_flags(flags)).proxies for flags in ([], ["--proxies", "0"])] == [1, 0]
    with pytest.raises(BadInput, match="Option run_seconds is 'soon'"):
        app.policy_from(app.parse_flags(["--run-seconds", "soon"]))


def test_a_space_answers_to_its_own_name_and_in_the_hubs_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("SPACE_HOST", "someone-specviz.hf.space")
    assert [app.words(getattr(app.parse_flags([]), name)) for name in ("hosts", "frames")] == [[], []]
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    flags = app.parse_flags([])
    assert (flags.hosts, flags.frames) == ("someone-specviz.hf.space", "https://huggingface.co")
    assert app.words(" a, b ,,") == ["a", "b"]


def test_listening_beyond_this_machine_without_a_password_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("127.0.0.1", "127.0.1.1", "localhost", "::1"):
        assert app.warning(host, False, False) == ""
    assert "SPECVIZ_AUTH" in app.warning("0.0.0.0", False, False)
    assert "listening on 192.168.1.5" in app.warning("192.168.1.5", False, False)
    assert app.warning("0.0.0.0", True, False) == app.warning("0.0.0.0", False, True) == ""
    for given, found in (("", None), ("a:b:c", ("a", "b:c"))):
        monkeypatch.setenv("SPECVIZ_AUTH", given)
        assert app.credentials() == found
    for given in ("a", "a:", ":b"):
        monkeypatch.setenv("SPECVIZ_AUTH", given)
        with pytest.raises(BadInput, match="wanted user:password"):
            app.credentials()


def test_help_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app.parse_flags(["--help"])
    told = capsys.readouterr().out
    assert all(f"[SPECVIZ_{name.upper()}]" in "".join(told.split()) for name in vars(app.parse_flags([])))


@pytest.mark.parametrize(("name", "value"), [("SPECVIZ_PORT", "many"), ("SPECVIZ_PUBLIC", "maybe")])
def test_a_variable_that_cannot_be_used_exits_with_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="2"):
        app.parse_flags([])
    assert repr(value) in capsys.readouterr().err


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
