"""A model's files from the Hub, as far as they are not here: how much there is to fetch, and fetching it.

transformers would fetch them too, but says nothing while it does, and cannot be stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from engine.errors import BadInput, first_line
from engine.models import watch
from engine.models.memory import in_gigabytes

SUFFIXES = (".json", ".safetensors", ".jinja", ".model", ".txt")
TIMEOUT_S = 10.0


class HubSilent(BadInput):
    """Nobody answers there, or there is no network."""


def bring(hub_id: str, only: str = "") -> None:
    """Fetch what is not here, where somebody waits for it and wants to be told; else whoever reads it fetches it.

    What is here already is used where the Hub is silent. Raises BadInput.
    """
    if watch.current() is watch.NOBODY:
        return
    watch.report(f"Asking the Hub for {hub_id}")
    try:
        wanted = missing(hub_id, only)
    except HubSilent:
        if _is_here(hub_id, only or "config.json", None):
            return
        raise
    if wanted.files:
        fetch(wanted)


@dataclass(frozen=True)
class Missing:
    """Files of a model that are on the Hub and not here, with their sizes in bytes."""

    hub_id: str
    files: tuple[tuple[str, int], ...] = ()

    @property
    def num_bytes(self) -> int:
        """Of all of them."""
        return sum(size for _, size in self.files)


@dataclass(frozen=True)
class Listed:
    """All files that a model or drafter has on the Hub, with their sizes in bytes, and of which version."""

    hub_id: str
    version: str | None
    files: tuple[tuple[str, int], ...]

    def missing(self, names: Collection[str]) -> Missing:
        """Those of these files that are not here."""
        wanted = (file for file in self.files if file[0] in names)
        return Missing(self.hub_id, tuple(f for f in wanted if not _is_here(self.hub_id, f[0], self.version)))


def missing(hub_id: str, only: str = "") -> Missing:
    """What there is to fetch; `only` one file of this name.

    Raises BadInput where the Hub does not let us, HubSilent where it cannot be asked.
    """
    told = listed(hub_id)
    names = [name for name, _ in told.files if _is_wanted(name, only)]
    if only and not names:
        raise BadInput(f"The model {hub_id} has no file {only} on the Hub.")
    return told.missing(names)


def listed(hub_id: str) -> Listed:
    """What the Hub has. Raises BadInput where it does not let us, HubSilent where it cannot be asked."""
    try:
        told = HfApi().model_info(hub_id, files_metadata=True, timeout=TIMEOUT_S)
    except GatedRepoError as error:
        raise BadInput(
            f"The model {hub_id} is gated: accept its licence on the Hub and give your token in HF_TOKEN."
        ) from error
    except RepositoryNotFoundError as error:
        raise BadInput(
            f"The Hub has no model {hub_id}, or none that may be read without a token (HF_TOKEN)."
        ) from error
    except Exception as error:  # without a network each layer below fails in its own way
        raise HubSilent(f"The Hub cannot be asked for {hub_id}: {first_line(error)}.") from error
    return Listed(hub_id, told.sha, tuple((file.rfilename, file.size or 0) for file in told.siblings or []))


def local_path(hub_id: str, name: str, version: str | None = None) -> Path | None:
    """Where a file is in the Hub's cache, of this version or of the last one known; None where it is not there."""
    found = try_to_load_from_cache(hub_id, name, revision=version)
    return Path(found) if isinstance(found, str) else None


def fetch(wanted: Missing) -> None:
    """Bring them into the Hub's cache.

    Raises BadInput where the disk is too small or the Hub breaks off, and LoadingStopped.
    """
    _check_disk(wanted)
    bar = watch.Bar(what=f"Fetching {wanted.hub_id}, {in_gigabytes(wanted.num_bytes)},", total=wanted.num_bytes)
    for name, _ in wanted.files:
        watch.report()
        try:
            hf_hub_download(wanted.hub_id, name, tqdm_class=_bars(bar))
        except watch.LoadingStopped:
            raise
        except Exception as error:
            watch.report()  # a stop may come wrapped in an error of whatever was fetching
            raise BadInput(
                f"The file {name} of {wanted.hub_id} cannot be fetched: {first_line(error)}. What was fetched is kept."
            ) from error


def _is_wanted(name: str, only: str) -> bool:
    return name == only if only else "/" not in name and name.endswith(SUFFIXES)


def _is_here(hub_id: str, name: str, revision: str | None) -> bool:
    return local_path(hub_id, name, revision) is not None


def _check_disk(wanted: Missing) -> None:
    folder = Path(constants.HF_HUB_CACHE)
    place = next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))
    free = shutil.disk_usage(place).free
    if free < wanted.num_bytes:
        raise BadInput(
            f"The model {wanted.hub_id} has {in_gigabytes(wanted.num_bytes)} to fetch, and {in_gigabytes(free)} of "
            f"disk are free at {place}; make room there, or name another folder with HF_HOME."
        )


def _bars(bar: watch.Bar) -> type:
    """The Hub's library makes a bar for each file; all of them move this one."""

    class Part(watch.Bar):
        def __init__(self, *args: object, initial: float = 0, **kwargs: object) -> None:
            super().__init__(what="")
            if initial:  # fetched by an earlier try
                bar.update(initial)

        def update(self, n: float = 1) -> None:
            bar.update(n)

        def update_transfer(self, n: float = 1) -> None:
            """What came over the line, and is not a file yet, is not counted again."""

    return Part
