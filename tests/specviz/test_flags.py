"""What app.py is told: defaults, the environment, the policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import BadInput
from specviz.flags import credentials, parse_flags, policy_from, words
from specviz.policy import HOME, PUBLIC, SPECS


def test_flags_have_defaults_and_spaces_listen_to_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "SPECVIZ_MODEL"):
        monkeypatch.delenv(name, raising=False)
    flags = parse_flags([])
    assert (flags.host, flags.port, flags.model, flags.db) == ("127.0.0.1", 7860, None, None)
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    assert parse_flags([]).host == "0.0.0.0"


def test_every_flag_has_a_name_in_the_environment_and_a_flag_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"host": "::1", "port": "99", "model": "m", "draft": "d", "dtype": "fp32", "device": "cpu", "db": "x.db"}
    given |= {"weights": "/a:/b", "metrics": "9", "public": "yes", "mcp": "1", "hosts": "a,b", "frames": "https://c"}
    given |= {"max_context": "512", "copy_to": "/kept"}
    given |= {spec.name: str(spec.default) or "a" for spec in SPECS}
    for name, value in given.items():
        monkeypatch.setenv(f"SPECVIZ_{name.upper()}", value)
    assert vars(parse_flags([])) == {
        **given,
        "port": 99,
        "metrics": 9,
        "public": True,
        "mcp": True,
        "max_context": 512,
    }
    flags = parse_flags(["--port", "7", "--no-public", "--dtype", "bf16", "--no-mcp"])
    assert (flags.port, flags.public, flags.dtype, flags.mcp) == (7, False, "bf16", False)


def test_the_policy_is_read_from_flags_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert policy_from(parse_flags([])) == HOME
    monkeypatch.setenv("SPECVIZ_MAX_TOKENS", "64")
    monkeypatch.setenv("SPECVIZ_MODERATOR", "sesame")
    said = policy_from(parse_flags(["--public", "--imports", "small"]))
    assert said == replace(PUBLIC, max_tokens=64, imports="small", moderator="sesame")
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    assert [policy_from(parse_flags(flags)).proxies for flags in ([], ["--proxies", "0"])] == [1, 0]
    with pytest.raises(BadInput, match="Option run_seconds is 'soon'"):
        policy_from(parse_flags(["--run-seconds", "soon"]))


def test_a_space_answers_to_its_own_name_and_in_the_hubs_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("SPACE_HOST", "someone-specviz.hf.space")
    assert [words(getattr(parse_flags([]), name)) for name in ("hosts", "frames")] == [[], []]
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    flags = parse_flags([])
    assert (flags.hosts, flags.frames) == ("someone-specviz.hf.space", "https://huggingface.co")
    assert words(" a, b ,,") == ["a", "b"]


def test_a_password_is_a_user_and_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, found in (("", None), ("a:b:c", ("a", "b:c"))):
        monkeypatch.setenv("SPECVIZ_AUTH", given)
        assert credentials() == found
    for given in ("a", "a:", ":b"):
        monkeypatch.setenv("SPECVIZ_AUTH", given)
        with pytest.raises(BadInput, match="wanted user:password"):
            credentials()


def test_help_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_flags(["--help"])
    told = capsys.readouterr().out
    assert all(f"[SPECVIZ_{name.upper()}]" in "".join(told.split()) for name in vars(parse_flags([])))


@pytest.mark.parametrize(("name", "value"), [("SPECVIZ_PORT", "many"), ("SPECVIZ_PUBLIC", "maybe")])
def test_a_variable_that_cannot_be_used_exits_with_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="2"):
        parse_flags([])
    assert repr(value) in capsys.readouterr().err
