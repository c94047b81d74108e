"""Where compiled loops are kept between starts: a folder for each state of their sources.

numba looks only at the file of the function that it has compiled, and would go on with a loop whose callee in another
file has changed; so all of these files together name the folder. Imports the standard library alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

_ENGINE = Path(__file__).resolve().parent
_MARKS = ("import njit", "import compiled", "import intrinsic", "llvmlite")
_KEPT = 3
"""States of the sources whose loops stay on disk."""


def kernel_folder() -> Path:
    """The folder for the loops of these sources: in the user's cache, or a temporary one where it cannot be written."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "specviz" / "kernels"
    folder = home / fingerprint(_ENGINE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_old(home, folder)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"specviz-kernels-{os.getuid() if hasattr(os, 'getuid') else 0}"
    return folder


def fingerprint(engine: Path) -> str:
    """Changes with any file below a folder that holds compiled code."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(engine.rglob("*.py")):
        text = path.read_bytes()
        if any(mark.encode() in text for mark in _MARKS):
            digest.update(str(path.relative_to(engine)).encode() + b"\0" + text)
    return digest.hexdigest()


def _forget_old(home: Path, folder: Path) -> None:
    """Remove the loops of sources that have been changed often since."""
    os.utime(folder)
    others = sorted(home.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
