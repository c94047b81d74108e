"""Weights that a drafter's makers put on the Hub: fetched, and converted once for each of their versions.

What this project's own training wrote is read where it lies. Converted folders stand in `drafters/` of the user's
cache, named by id and version. Knows the Hub and layouts; knows no target.
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.checkpoints import files
from engine.checkpoints.converting import convert
from engine.errors import BadInput
from engine.models import fetching
from engine.models.watch import report
from engine.user_cache import user_cache

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
VERSION_CHARS = 12


def is_hub_id(name: str) -> bool:
    """Whether it may be one: `owner/name`, and no folder or file of this machine."""
    return HUB_ID.fullmatch(name) is not None and not Path(name).exists()


def source_of(name: str) -> Path:
    """Where published weights are: a folder or file as given, or the Hub's local copy, fetched where it is not here.

    Raises BadInput and LoadingStopped.
    """
    return _fetched(name) if is_hub_id(name) else Path(name).expanduser()


def published(hub_id: str, method: str) -> Path:
    """A drafter of the Hub as a folder that a method reads.

    Raises BadInput where it cannot be fetched, is in no layout that is known, or is another method's, and
    LoadingStopped.
    """
    folder = _readable(hub_id)
    found = files.config_of(folder).get("method", method)
    if found != method:
        raise BadInput(f"{hub_id} holds weights for {found!s:.40}; use them with that method, not with {method}.")
    return folder


def _readable(hub_id: str) -> Path:
    source = _fetched(hub_id)
    if "target_fingerprint" in files.config_of(source):  # written by this project's training
        return source
    folder = _home() / f"{hub_id.replace('/', '--')}-{source.name[:VERSION_CHARS]}"
    if not _is_made(folder):
        try:
            convert(source, folder)
        except BadInput:
            if not _is_made(folder):  # else another process was quicker
                raise
    return folder


def _fetched(hub_id: str) -> Path:
    """The Hub's local copy of config and weights, safetensors where there are any.

    What is not here is fetched; where the Hub is silent, a whole copy that is here will do.
    """
    report(f"Asking the Hub for {hub_id}")
    try:
        told = fetching.listed(hub_id)
    except fetching.HubSilent:
        if (config := fetching.local_path(hub_id, files.CONFIG_FILE)) is None:
            raise
        return config.parent
    names = [name for name, _ in told.files]
    wanted = files.weights_among(names)
    if not wanted:
        raise BadInput(f"{hub_id} has no weights on the Hub; wanted files that end in {', '.join(files.ENDINGS)}.")
    indexes = (name for name in names if "/" not in name and name.endswith(files.INDEX))
    if (lacking := told.missing({*wanted, *indexes, files.CONFIG_FILE})).files:
        fetching.fetch(lacking)
    found = fetching.local_path(hub_id, wanted[0], told.version)
    if found is None:
        raise BadInput(f"{hub_id} was fetched and is not in the Hub's cache; name a folder for it with HF_HOME.")
    return found.parent


def _is_made(folder: Path) -> bool:
    return (folder / files.CONFIG_FILE).is_file()


def _home() -> Path:
    try:
        return user_cache() / "drafters"
    except RuntimeError as error:
        raise BadInput("There is no folder to convert published weights into; name one with SPECVIZ_CACHE.") from error
