"""Where compiled loops are kept between starts: a folder for each state of their sources.

numba looks only at the file of the function that it has compiled, and would go on with a loop whose callee in another
file has changed; so all of these files together name the folder. Programs that start together would each compile the
same loops, and one would forget in the folder's index what another has put there: they take turns. Imports none but
the standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from engine.user_cache import user_cache

_ENGINE = Path(__file__).resolve().parent
_MARK = re.compile(rb"\bnjit\b|\bllvmlite\b|^@_?(?:compiled|entry|inner|part)\b|\(NamedTuple\)", re.MULTILINE)
"""What a file of compiled code cannot do without: a compiler's name, a decorator made with it, or records for it."""
_KEPT_DAYS = 30
"""How long the loops of other states of the sources stay on disk after their last use."""


def kernel_folder() -> Path:
    """The folder for the loops of these sources, in the user's cache, or a temporary one where it cannot be written."""
    name = fingerprint(_ENGINE)
    try:
        return _made(user_cache() / "kernels", name)
    except (OSError, RuntimeError):  # Path.home() has no other word for a user without a home
        return _made(_temporary(), name)


def _temporary() -> Path:
    """A folder that nobody else can have put compiled code into: the user's own from an earlier start, or a new one."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir()) / "specviz-kernels"
    folder = Path(tempfile.gettempdir()) / f"specviz-kernels-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        is_own = folder.lstat().st_uid == os.getuid() and not folder.is_symlink() and not folder.stat().st_mode & 0o022
    except OSError:
        is_own = False
    return folder if is_own else Path(tempfile.mkdtemp(prefix="specviz-kernels-"))


def _made(home: Path, name: str) -> Path:
    """A writable folder for these sources' loops. Raises OSError where there can be none."""
    folder = home / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        os.utime(folder)
    _forget_old(home)
    return folder


class Turns:
    """Turns at a folder: within one of this process's no other process is in its own. One within another is the same.

    A process that ends, however it ends, gives its turn up. Nobody waits where the system or the folder has no locks.
    Threads of one process are kept apart by whoever takes turns.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._depth, self._held = folder, 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        with contextlib.suppress(ImportError, OSError):
            import fcntl  # POSIX systems alone have it

            file = self._held.enter_context((self._folder / "turn").open("w"))
            fcntl.lockf(file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._held.close()


def fingerprint(engine: Path) -> str:
    """Changes with any file below a folder that holds compiled code."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(engine.rglob("*.py")):
        text = path.read_bytes()
        if _MARK.search(text):
            digest.update(str(path.relative_to(engine)).encode() + b"\0" + text)
    return digest.hexdigest()


def _forget_old(home: Path) -> None:
    """Remove loops that were not used for long; several states may be in use at once, and pruned by others too."""
    oldest = time.time() - _KEPT_DAYS * 86400
    for path in home.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)
