"""Where a model's files are: a folder below assets/, a folder as given, a GGUF file, or a hub id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils.hub import cached_file

from engine.errors import BadInput, UnknownName, first_line
from engine.models import fetching, found
from engine.models.converted import converted, kept
from engine.models.kin import family_of
from engine.models.presets import ASSETS, Package, presets

if TYPE_CHECKING:
    from engine.facts import TargetFacts

GGUF = ".gguf"
HUB_FILE = re.compile(r"(?P<id>[^/:\\]+/[^/:\\]+):(?P<name>.+)")
"""A file of a model on the Hub: `owner/name:file.gguf`."""


def locate(name: str) -> str:
    """A preset, a folder below assets/ or as given, a GGUF file, or a hub id: to a model folder, or a hub id as it is.

    A GGUF file is converted first, once. Raises UnknownName, and BadInput for a file that cannot be converted.
    """
    preset = presets().get(name)
    if preset is None:
        return _locate(name)
    packaged = _locate_packaged(preset.package, preset.target) if preset.package else None
    return packaged or _locate(preset.target)


def _locate_packaged(package: Package, hub_id: str) -> str | None:
    """The folder of a model that a package carries: converted, or else the Hub's local copy; None without either."""
    file = found.packaged_file(package)
    folder = kept(package.sha256) if file is None else converted(file, package.sha256)
    folder = folder or found.hub_copy(hub_id)
    return None if folder is None else str(folder)


def _locate(source: str) -> str:
    if source.endswith(GGUF):
        return str(converted(_gguf_file(source)))
    for folder in (ASSETS / source, Path(source).expanduser()):
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise BadInput(f"The folder {source} holds no config.json; wanted a Hugging Face model folder.")
            return str(folder)
    looks_like_hub_id = source.count("/") == 1 and not source.startswith((".", "/", "~"))
    if not looks_like_hub_id:
        raise UnknownName("model", source, presets())
    return source


def local_file(source: str) -> Path | None:
    """A GGUF file that is on this machine."""
    return next((path for path in (ASSETS / source, Path(source).expanduser()) if path.is_file()), None)


def _gguf_file(source: str) -> Path:
    """The file, fetched from the Hub where it is one of there. Raises BadInput."""
    if (path := local_file(source)) is not None:
        return path
    there = HUB_FILE.fullmatch(source)
    if there is None:
        raise BadInput(f"There is no file {source}; wanted folder/file{GGUF}, or hub-id:file{GGUF}.")
    fetching.bring(there["id"], there["name"])
    try:
        return Path(str(cached_file(there["id"], there["name"])))
    except (OSError, ValueError) as error:
        raise BadInput(f"The file {source} cannot be fetched from the Hub: {first_line(error)}.") from error


def weights_folder(target: TargetFacts, method: str) -> Path | None:
    """Where a method's weights for a preset's target are; None where the project has trained none.

    A target of a preset's family has them too, by whatever name it was loaded.
    """
    folder = ASSETS / "models" / f"{target.name}-{method}"
    if not folder.is_dir() and (family := family_of(target)) is not None:
        folder = ASSETS / "models" / f"{family.name}-{method}"
    return folder if folder.is_dir() else None
