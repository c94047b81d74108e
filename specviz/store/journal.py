"""Which journal SQLite keeps beside a database file: a write-ahead log where the file system can, else the old kind.

The log needs memory that all processes share coherently; file systems over a network or through another program do not
give it, and files on them get damaged after days. SPECVIZ_DB_JOURNAL says otherwise: `wal` or `delete`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]

WAL, DELETE = "wal", "delete"
_REMOTE = {
    *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "prl_fs", "afs", "afpfs", "webdav"),
    *("ceph", "glusterfs", "lustre", "gfs2", "ocfs2", "beegfs", "osxfs", "fakeowner", "grpcfuse", "drvfs"),
}


def journal_of(file: Path) -> tuple[str, str]:
    """The journal to ask for, and why it is not a write-ahead log, in a few words."""
    asked = os.environ.get("SPECVIZ_DB_JOURNAL", "").strip().lower()
    if asked in (WAL, DELETE):
        return asked, "as SPECVIZ_DB_JOURNAL asks" if asked == DELETE else ""
    kind = file_system(file)
    is_remote = kind.lower() in _REMOTE or kind.startswith(("fuse.", "macfuse"))
    return (DELETE, f"its file system is {kind}") if is_remote else (WAL, "")


def file_system(file: Path, mounts: Callable[..., list[object]] = psutil.disk_partitions) -> str:
    """The kind of file system that a file lies on; empty where that cannot be told."""
    found: list[tuple[int, str]] = []
    try:
        for mount in mounts(all=True):
            place = Path(getattr(mount, "mountpoint", ""))
            if file.absolute().is_relative_to(place):
                found.append((len(place.parts), str(getattr(mount, "fstype", ""))))
    except (OSError, RuntimeError):
        return ""
    return max(found, key=lambda one: one[0], default=(0, ""))[1]  # of two mounts on one place the first is told
