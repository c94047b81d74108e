"""What a model would need before it is loaded: memory against what is free, and what there is to fetch or convert.

Headers and configs are read, no weights; of a model on the Hub its config and its list of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from engine.errors import BadInput, first_line
from engine.models import fetching, found, memory, quantised
from engine.models.converted import kept
from engine.models.converting import num_numbers
from engine.models.loaded import context_length
from engine.models.loading import ROOM_TOKENS, chosen_dtype
from engine.models.locating import GGUF, HUB_FILE, local_file, locate
from engine.models.presets import presets
from engine.runtime.device import choose_device, choose_dtype

MOST_BYTES = 2**60
"""No model has more; a config may say anything."""


@dataclass(frozen=True)
class Needs:
    """All sizes in bytes; 0 where nothing is needed, None where nobody says."""

    memory: int | None
    free: int | None
    device: str
    dtype: str
    download: int = 0
    is_converted: bool = False
    """A GGUF file has to be converted first."""

    @property
    def fits(self) -> bool:
        """Whether there is room, as far as is known."""
        return self.memory is None or self.free is None or self.memory <= self.free

    @property
    def text(self) -> str:
        """In a sentence or two."""
        held = "How much memory it needs is known when it is here"
        if self.memory is not None:
            held = f"Needs {memory.in_gigabytes(self.memory)} in {self.dtype} on {self.device}"
        free = "" if self.free is None else f"; {memory.in_gigabytes(self.free)} are free"
        more = [f"{memory.in_gigabytes(self.download)} to fetch from the Hub first."] if self.download else []
        more += ["It is converted once, which takes a while."] if self.is_converted else []
        return " ".join([f"{held}{free}{'' if self.fits else ': it does not fit'}.", *more])


def needs_of(name: str, device: str = "auto", dtype: str = "auto") -> Needs:
    """Of a target by preset, folder, GGUF file or hub id. Raises BadInput or UnknownName with a sentence."""
    where, packing = choose_device(device), dtype if dtype in quantised.BITS else ""
    dtype = "auto" if packing else dtype
    found_at = _place(name)
    is_here = isinstance(found_at, str) and Path(found_at).is_dir()
    kind = chosen_dtype(str(found_at), dtype, where) if is_here else choose_dtype(dtype, where)
    told: dict[str, Any] = {
        "device": str(where),
        "dtype": packing or str(kind).removeprefix("torch."),
        "free": memory.free_bytes(where),
    }
    if isinstance(found_at, Path):
        return Needs(num_numbers(found_at) * kind.itemsize, **told, is_converted=True)
    if GGUF in found_at:
        return Needs(None, **told, download=_download(found_at), is_converted=True)
    download = 0 if is_here else _download(found_at)
    return Needs(_memory(name, found_at, kind, packing), **told, download=download)


def _place(name: str) -> str | Path:
    """A folder or hub id, or a GGUF file that is not converted yet. Raises BadInput or UnknownName."""
    preset = presets().get(name)
    if preset and preset.package:
        file, folder = found.packaged_file(preset.package), kept(preset.package.sha256)
        copy = folder or found.hub_copy(preset.target)
        return str(copy) if copy else file or preset.target
    if not name.endswith(GGUF):
        return locate(name)
    return local_file(name) or name


def _download(source: str) -> int:
    there = HUB_FILE.fullmatch(source)
    wanted = fetching.missing(there["id"], there["name"]) if there else fetching.missing(source)
    return wanted.num_bytes


def _memory(name: str, location: str, dtype: torch.dtype, packing: str = "") -> int:
    try:
        config = AutoConfig.from_pretrained(location, trust_remote_code=False)
        room = min(ROOM_TOKENS, context_length(config.get_text_config()))
        weights = memory.weight_bytes(location, config, dtype)
        weights = quantised.num_bytes(packing, weights, dtype) if packing else weights
        total = weights + memory.kv_bytes(config, dtype, room)
    except Exception as error:  # broken files make transformers raise all kinds, and what they say may be no size
        raise BadInput(f"The config of {name} cannot be read: {first_line(error)}.") from error
    if not 0 <= total <= MOST_BYTES:
        raise BadInput(f"The config of {name} tells of a model of no possible size.")
    return total
