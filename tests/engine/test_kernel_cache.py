"""Where compiled loops are kept: a folder for each state of the kernels' sources, wherever one can be made."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import engine
import engine.runtime.cpu.reading
from engine import kernel_cache
from engine.kernel_cache import Turns, fingerprint, kernel_folder

ENGINE = Path(engine.__file__).parent
KERNELS = (
    "runtime/cpu/vectors.py",
    "runtime/cpu/products.py",
    "runtime/cpu/tiles.py",
    "runtime/cpu/attention.py",
    "runtime/cpu/pass_attention.py",
    "runtime/cpu/rounding.py",
    "runtime/cpu/rows.py",
    "runtime/cpu/crew.py",
    "runtime/cpu/kv.py",
    "runtime/cpu/whole_pass.py",
    "runtime/cpu/linear.py",
    "runtime/cpu/rowwise_attention.py",
    "runtime/cpu/softmax.py",
)
OTHERS = ("loop.py", "target.py", "runtime/runner.py", "runtime/cpu/decoder.py", "runtime/cpu/rotary.py", "cores.py")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the engine's sources."""
    folder = tmp_path_factory.mktemp("sources") / "engine"
    shutil.copytree(ENGINE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache, with a temporary folder beside it."""
    monkeypatch.delenv("SPECVIZ_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "cache" / "specviz" / "kernels"


def after_a_change(sources: Path, name: str) -> str:
    path = sources / name
    before = path.read_bytes()
    path.write_bytes(before + b"\nCHANGED = 1\n")
    try:
        return fingerprint(sources)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("name", KERNELS)
def test_a_changed_kernel_changes_the_fingerprint(sources: Path, name: str) -> None:
    assert after_a_change(sources, name) != fingerprint(sources)


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_does(sources: Path, name: str) -> None:
    assert after_a_change(sources, name) == fingerprint(sources)


def test_every_file_whose_functions_numba_has_compiled_counts() -> None:
    """The functions themselves are asked, under whatever name they were decorated."""
    found = {
        Path(inspect.getfile(value.py_func)).relative_to(ENGINE)
        for name, module in list(sys.modules.items())
        if name.startswith("engine.")
        for value in vars(module).values()
        if hasattr(value, "py_func")
    }
    assert {Path(name) for name in ("runtime/cpu/whole_pass.py", "runtime/cpu/linear.py")} <= found
    for path in found:
        assert kernel_cache._MARK.search((ENGINE / path).read_bytes()), path


def test_a_kernel_under_another_name_is_another_state(sources: Path) -> None:
    before = fingerprint(sources)
    moved = (sources / "runtime/cpu/softmax.py").rename(sources / "runtime/cpu/other.py")
    assert fingerprint(sources) != before
    moved.rename(sources / "runtime/cpu/softmax.py")
    assert fingerprint(sources) == before


def test_the_folder_is_the_users_and_named_by_the_sources(home: Path) -> None:
    assert kernel_folder() == home / fingerprint(ENGINE)
    assert list(kernel_folder().iterdir()) == []


def test_states_that_are_long_past_are_removed_and_those_in_use_are_not(home: Path) -> None:
    for name in ("old", "older", "of now"):
        (home / name).mkdir(parents=True)
        (home / name / "loop.nbc").write_text("compiled")
    os.utime(home / "old", (1000, 1000))
    os.utime(home / "older", (10, 10))
    folder = kernel_folder()
    assert {path.name for path in home.iterdir()} == {folder.name, "of now"}
    assert (home / "of now" / "loop.nbc").exists()
    os.utime(folder, (1000, 1000))
    assert kernel_folder().stat().st_mtime > 1000, "a start is a use"


def test_a_state_that_another_process_removes_meanwhile_is_no_failure(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(parents=True)
    (home / "gone").symlink_to(home / "nowhere")
    assert kernel_folder().parent == home


def test_without_a_home_loops_are_kept_in_a_temporary_folder_by_the_same_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.parent.parent.write_text("a file where the cache should be")
    folder = kernel_folder()
    assert folder.name == fingerprint(ENGINE)
    assert Path(tempfile.gettempdir()) in folder.parents
    assert kernel_folder() == folder, "the next start finds what this one has compiled"


def test_a_user_whom_the_system_does_not_know_has_a_temporary_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", unknown)
    assert Path(tempfile.gettempdir()) in kernel_folder().parents


def test_a_folder_that_cannot_be_written_to_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tempfile.TemporaryFile

    def refuse(**settings: Path) -> object:
        if home in settings["dir"].parents:
            raise PermissionError(settings["dir"])
        return made(dir=settings["dir"])

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert Path(tempfile.gettempdir()) in kernel_folder().parents


def test_compiled_code_that_others_could_have_put_there_is_not_loaded(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loops are unpickled: a folder of a known name that everybody may write to is no place for them."""
    home.parent.parent.write_text("a file where the cache should be")
    monkeypatch.setattr(os, "getuid", lambda: home.parent.parent.stat().st_uid, raising=False)
    planted = Path(tempfile.gettempdir()) / f"specviz-kernels-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    assert planted not in kernel_folder().parents


def may_begin(folder: Path) -> bool:
    """Whether another process could begin its turn at once."""
    pytest.importorskip("fcntl")
    tried = f"import fcntl; fcntl.lockf(open({str(folder / 'turn')!r}, 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    return subprocess.run([sys.executable, "-S", "-c", tried], capture_output=True, check=False).returncode == 0


def test_processes_take_turns_and_one_turn_within_another_is_the_same(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    with turns:
        with turns:
            assert not may_begin(tmp_path)
        assert not may_begin(tmp_path)
    assert may_begin(tmp_path)
    with pytest.raises(RuntimeError), turns:
        raise RuntimeError
    assert may_begin(tmp_path)


def test_nobody_waits_where_there_is_no_folder(tmp_path: Path) -> None:
    with Turns(tmp_path / "gone"):
        pass
    assert not list(tmp_path.iterdir())
