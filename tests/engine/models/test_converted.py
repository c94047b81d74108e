"""The cache of converted models: made once and whole, checked by hash; nothing half-made is ever used."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from model_folders import refusal
from safetensors import SafetensorError

from engine.models import converted as cache_of
from engine.models import converting
from engine.models.converted import converted, kept, sha256_of

DAY_S = 86400


class Converter:
    """Writes what it read in place of weights; counts, and may break in the middle."""

    def __init__(self) -> None:
        self.num_calls = 0
        self.error: Exception | None = None
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, source: Path, folder: Path) -> None:
        self.num_calls += 1
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        if self.error:
            raise self.error
        (folder / "model.safetensors").write_bytes(source.read_bytes())
        self.meanwhile()


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Converter:
    """In place of transformers; the user's cache is `tmp_path / "cache"`."""
    monkeypatch.setenv("SPECVIZ_CACHE", str(tmp_path / "cache"))
    found = Converter()
    monkeypatch.setattr(converting, "convert", found)
    monkeypatch.setattr(converting, "can_convert", lambda: True)
    return found


def gguf(path: Path, content: bytes = b"GGUF, or so it says") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def home(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "models").iterdir())


def test_a_file_is_converted_once_and_said_to_be(
    converter: Converter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = gguf(tmp_path / "a.gguf")
    folder = converted(source)
    assert converted(source) == folder
    assert converter.num_calls == 1
    assert home(tmp_path) == [folder.name] == [f"a-{sha256_of(source)[:16]}"]
    assert capsys.readouterr().err == f"Converting a.gguf to safetensors, once, into {folder} …\n"
    manifest = json.loads((folder / "converted.json").read_text())
    assert manifest["source"]["sha256"] == sha256_of(source)
    assert manifest["files"]["model.safetensors"]["sha256"] == sha256_of(folder / "model.safetensors")


def test_a_file_that_was_not_touched_is_not_read_again(
    converter: Converter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = gguf(tmp_path / "a.gguf")
    folder = converted(source)
    monkeypatch.setattr(cache_of, "sha256_of", lambda path: pytest.fail(f"{path} was read"))
    assert converted(source) == folder


def test_the_same_content_elsewhere_is_not_converted_again(converter: Converter, tmp_path: Path) -> None:
    first, second = gguf(tmp_path / "a.gguf"), gguf(tmp_path / "b" / "other.gguf")
    assert converted(first) == converted(second)
    first.unlink()
    assert kept(sha256_of(second)) == converted(second), "also where the file that it was made from is gone"
    assert converter.num_calls == 1


def test_another_content_at_the_same_place_is_converted_anew(converter: Converter, tmp_path: Path) -> None:
    before = converted(gguf(tmp_path / "a.gguf"))
    after = converted(gguf(tmp_path / "a.gguf", b"GGUF, of another day"))
    assert before != after
    assert (after / "model.safetensors").read_bytes() == b"GGUF, of another day"


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def other_bytes(path: Path) -> None:
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, (1, 1))


@pytest.mark.parametrize("spoil", [cut_off, other_bytes, Path.unlink])
def test_a_spoilt_folder_is_made_again(spoil: Callable[[Path], None], converter: Converter, tmp_path: Path) -> None:
    source = gguf(tmp_path / "a.gguf")
    folder = converted(source)
    spoil(folder / "model.safetensors")
    assert kept(sha256_of(source)) is None
    assert converted(source) == folder
    assert (folder / "model.safetensors").read_bytes() == source.read_bytes()
    assert (converter.num_calls, home(tmp_path)) == (2, [folder.name])


def test_a_cache_that_was_copied_is_used(converter: Converter, tmp_path: Path) -> None:
    """Other times, same bytes."""
    source = gguf(tmp_path / "a.gguf")
    os.utime(converted(source) / "model.safetensors", (1, 1))
    assert converted(source)
    assert converter.num_calls == 1


FULL = [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: No space left on device")]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_disk_that_fills_up_leaves_nothing_half_made(error: Exception, converter: Converter, tmp_path: Path) -> None:
    source, converter.error = gguf(tmp_path / "a.gguf"), error
    message = refusal(lambda: converted(source))
    assert "No space left on device" in message
    assert "SPECVIZ_CACHE" in message
    assert home(tmp_path) == []
    converter.error = None
    assert converted(source).is_dir()


def test_a_cache_that_cannot_be_written_is_a_sentence(
    converter: Converter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder should be: not even root can write there."""
    monkeypatch.setenv("SPECVIZ_CACHE", str(gguf(tmp_path / "a-file")))
    message = refusal(lambda: converted(gguf(tmp_path / "a.gguf")))
    assert "Not a directory" in message or "File exists" in message
    assert "SPECVIZ_CACHE" in message


def test_a_file_of_another_hash_is_refused_with_both(converter: Converter, tmp_path: Path) -> None:
    source = gguf(tmp_path / "a.gguf")
    message = refusal(lambda: converted(source, "0" * 64))
    assert sha256_of(source) in message
    assert "0" * 64 in message
    assert converter.num_calls == 0


def test_what_a_killed_process_left_is_never_used_and_goes_after_a_day(converter: Converter, tmp_path: Path) -> None:
    models = tmp_path / "cache" / "models"
    for name in (".unfinished-old", ".unfinished-new"):
        (models / name / "a").mkdir(parents=True)
    old = (models / ".unfinished-old").stat().st_mtime - 2 * DAY_S
    os.utime(models / ".unfinished-old", (old, old))
    folder = converted(gguf(tmp_path / "a.gguf"))
    assert home(tmp_path) == [".unfinished-new", folder.name]


def test_of_two_processes_the_quicker_ones_folder_stays(converter: Converter, tmp_path: Path) -> None:
    source = gguf(tmp_path / "a.gguf")
    made: list[Path] = []

    def meanwhile() -> None:
        converter.meanwhile = lambda: None
        made.append(converted(source))
        (made[0] / "by-the-other").touch()

    converter.meanwhile = meanwhile
    assert [converted(source)] == made
    assert (made[0] / "by-the-other").exists()


def test_manifests_that_say_nothing_are_passed_over(converter: Converter, tmp_path: Path) -> None:
    source = gguf(tmp_path / "a.gguf")
    folder = converted(source)
    for text in ("{", "[]", "{}", '{"form": 1, "files": {}}', json.dumps({"form": 0, "source": {}, "files": {}})):
        (folder / "converted.json").write_text(text)
        assert kept(sha256_of(source)) is None
        assert converted(source) == folder
