"""Published weights, recognised by their tensors' names, written as a method of this project reads them.

A folder is made whole or not at all. Knows layouts and files; knows no target.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoints import files
from engine.checkpoints.dflash import DFLASH_LAYOUTS
from engine.checkpoints.dflash_heads import DFLASH_HEAD_LAYOUTS
from engine.checkpoints.eagle import EAGLE_LAYOUTS
from engine.checkpoints.hydra import HYDRA_LAYOUTS
from engine.checkpoints.layouts import LAYOUTS, Layout, foreign
from engine.errors import BadInput

WEIGHTS_FILE = "model.safetensors"
MOST_NAMED = 3
KNOWN = (*LAYOUTS, *EAGLE_LAYOUTS, *DFLASH_LAYOUTS, *DFLASH_HEAD_LAYOUTS, *HYDRA_LAYOUTS)


@dataclass(frozen=True)
class Converted:
    """What was written."""

    method: str
    origin: str
    folder: Path
    num_tensors: int

    @property
    def text(self) -> str:
        """In a sentence."""
        return (
            f"{self.num_tensors} tensors in {self.origin}'s layout, written to {self.folder}; "
            f"use them with --method {self.method} --set weights={self.folder}."
        )


def convert(source: Path, folder: Path) -> Converted:
    """Read published weights and write them to a new folder. Raises BadInput for what is not known or not read."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is there already; name a new folder.")
    tensors, config = files.read(source)
    layout, renamed = _recognised(tensors, source)
    told = {**layout.config(renamed, config), "method": layout.method, "converted_from": layout.origin}
    _write(folder, renamed, told)
    return Converted(layout.method, layout.origin, folder, len(renamed))


def _recognised(tensors: Mapping[str, Tensor], source: Path) -> tuple[Layout, dict[str, Tensor]]:
    for layout in KNOWN:
        if (renamed := layout.renamed(tensors)) is not None:
            return layout, renamed
    if told := foreign(tensors):
        whose, name = told
        raise BadInput(f"{source} holds {name:.60} and looks like {whose}, for which no method here reads weights.")
    known = sorted({f"{layout.method} ({layout.origin})" for layout in KNOWN})
    some = ", ".join(f"{name[:60]} {tuple(tensor.shape)}" for name, tensor in list(tensors.items())[:MOST_NAMED])
    raise BadInput(f"{source} is in no layout that is known: {', '.join(known)}. It holds {some}.")


def _write(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise BadInput(f"{folder} cannot be written ({error.strerror}).") from error
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, made / WEIGHTS_FILE)
        (made / files.CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        made.chmod(0o755)
        made.replace(folder)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
