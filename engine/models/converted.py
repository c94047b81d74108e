"""The user's cache of converted models: one folder for each GGUF file, made once, whole, and checked by hash.

A folder is written beside its place and moved there when it is finished, with a manifest of hashes, sizes and times.
It is used again while the GGUF file is the one that it was made from and its own files are those that were written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from engine.errors import BadInput, first_line
from engine.models import converting
from engine.user_cache import user_cache

MANIFEST = "converted.json"
FORM = 1
"""Of what is written; folders of another form are not used."""
_UNFINISHED = ".unfinished-"
_UNFINISHED_DAYS = 1
"""After how long a folder that somebody began is taken for given up."""


def converted(source: Path, sha256: str | None = None) -> Path:
    """The folder of a GGUF file's model, converted into the cache where it is not there yet.

    Raises BadInput where the file cannot be read, is not the one of this hash, or where the cache cannot be written.
    """
    try:
        found = _known_sha256(source) or sha256_of(source)
    except OSError as error:
        raise BadInput(f"The file {source} cannot be read: {error.strerror}.") from error
    if sha256 not in (None, found):
        raise BadInput(
            f"The file {source} is not the one that is known (sha256 {found}, wanted {sha256}); fetch it again."
        )
    try:
        return _noted(source, found) or _convert(source, found)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise BadInput(
            f"{source.name} cannot be converted into {_home_text()}: {reason}; make room or rights there, or name "
            "another folder with SPECVIZ_CACHE."
        ) from error


def kept(sha256: str) -> Path | None:
    """The whole folder made from a file of this hash, which itself may be gone; None where there is none."""
    return next((folder for folder, known in _manifests() if known["source"]["sha256"] == sha256), None)


def sha256_of(path: Path) -> str:
    """In hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _home() -> Path:
    """Raises RuntimeError for a user without a home."""
    return user_cache() / "models"


def _home_text() -> str:
    try:
        return str(_home())
    except RuntimeError:
        return "a cache of its own"


def _manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Whole folders of this form, with what they say of themselves."""
    with contextlib.suppress(OSError, RuntimeError):
        for path in sorted(_home().glob(f"*/{MANIFEST}")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                known = json.loads(path.read_text(encoding="utf-8"))
                if _is_whole(path.parent, known):
                    yield path.parent, known


def _is_whole(folder: Path, known: dict[str, Any]) -> bool:
    """Raises OSError where a file is gone, KeyError or TypeError where this is no manifest."""
    has_source = isinstance(known["source"]["sha256"], str)
    files = known["files"].items()
    return known["form"] == FORM and has_source and all(_is_same(folder / name, file) for name, file in files)


def _is_same(path: Path, known: dict[str, Any]) -> bool:
    """By size and time, else by hash. Raises OSError where it is gone."""
    stat = path.stat()
    if stat.st_size != known["size"]:
        return False
    return bool(stat.st_mtime_ns == known["mtime_ns"] or sha256_of(path) == known["sha256"])


def _known_sha256(source: Path) -> str | None:
    """Of a file that a folder was made from, and that has not been touched since. Raises OSError."""
    described = _described(source)
    sources = (known["source"] for _, known in _manifests())
    return next((str(s["sha256"]) for s in sources if {k: s.get(k) for k in described} == described), None)


def _noted(source: Path, sha256: str) -> Path | None:
    """The folder that was made from a file of this content; from now on this file is known to be it."""
    described = {**_described(source), "sha256": sha256}
    for folder, known in _manifests():
        if known["source"]["sha256"] == sha256:
            with contextlib.suppress(OSError):  # then it is hashed again next time
                if known["source"] != described:
                    _write_manifest(folder, {**known, "source": described})
            return folder
    return None


def _convert(source: Path, sha256: str) -> Path:
    """Raises BadInput for the file, OSError or SafetensorError for the cache."""
    converting.check(source)
    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    _forget_unfinished(home)
    place = home / f"{source.stem}-{sha256[:16]}"
    with tempfile.TemporaryDirectory(dir=home, prefix=_UNFINISHED, ignore_cleanup_errors=True) as unfinished:
        folder = Path(unfinished) / place.name
        print(f"Converting {source.name} to safetensors, once, into {place} …", file=sys.stderr, flush=True)
        converting.convert(source, folder)
        described = {**_described(source), "sha256": sha256}
        files = {path.name: {**_stamp(path), "sha256": sha256_of(path)} for path in folder.iterdir()}
        _write_manifest(folder, {"form": FORM, "source": described, "files": files})
        return _moved(folder, place, sha256)


def _moved(folder: Path, place: Path, sha256: str) -> Path:
    """A finished folder in its place; another process's, where that one was quicker."""
    if place.exists():
        if kept(sha256) == place:
            return place
        shutil.rmtree(place)
    try:
        return folder.rename(place)
    except OSError:
        if kept(sha256) == place:
            return place
        raise


def _described(source: Path) -> dict[str, Any]:
    return {"path": str(source.resolve()), **_stamp(source)}


def _stamp(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    unfinished = folder / f"{MANIFEST}.new"
    unfinished.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    unfinished.replace(folder / MANIFEST)


def _forget_unfinished(home: Path) -> None:
    """Remove what processes that were killed have left."""
    oldest = time.time() - _UNFINISHED_DAYS * 86400
    for path in home.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)
