"""Where compiled loops are kept between starts: a folder for each state of their sources.

numba looks only at the file of the function that it has compiled, and would go on with a loop whose callee in another
file has changed; so all of these files together name the folder. Imports the standard library alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

_ENGINE = Path(__file__).resolve().parent
_MARKS = ("import njit", "import compiled", "import intrinsic", "llvmlite")
_KEPT_DAYS = 30
"""How long the loops of other states of the sources stay on disk after their last use."""


def kernel_folder() -> Path:
    """The folder for the loops of these sources, in the user's cache, or in a temporary one where that is not writable."""
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
    """Remove loops that were not used for long; several states may be in use side by side."""
    os.utime(folder)
    oldest = time.time() - _KEPT_DAYS * 86400
    for path in home.iterdir():
        if path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)
