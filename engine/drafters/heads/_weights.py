"""A trained drafter's weights: a folder with `config.json` and safetensors, and whose drafter they are.

Reads and checks; knows no architecture. A folder that this project's training wrote names its target and
carries the target's fingerprint, and is refused for any other that is not of its family (models/kin.py); a
published one has none, and loads where its shapes fit. What is read is shared by all sessions of its target and
never changed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.checkpoints import is_hub_id, published
from engine.drafters import shapes
from engine.drafters.shapes import Shape
from engine.errors import BadInput
from engine.models import is_kin, origin, published_heads, weights_folder

if TYPE_CHECKING:
    from engine.models import LoadedModel
    from engine.target import Target

MOST_NAME_CHARS = 200
MOST_TAPS = 16
CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE = "config.json", "model.safetensors", "model.safetensors.index.json"
SHAPE_FILE = "shape.json"
"""The static tree that was measured for these weights (`shapes.Shape.rows`)."""
SHARES_FILE = "shares.json"
"""For trees that change with the text: in which share of steps the i-th node drafted was accepted."""
SCALE = "scale"
"""Behind the name of a matrix (o, i) that is kept in bytes: what its rows (o,) are multiplied with, float32."""
VOCABULARY_FILE = "vocabulary.json"
"""Tokens that are worth drafting: ids, those the target writes most often first."""


@dataclass(frozen=True, eq=False)
class Weights:
    """What a folder holds."""

    method: str
    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor by name. Raises BadInput where it is missing or of another shape."""
        if name not in self.tensors:
            raise BadInput(f"The weights in {self.folder} lack {name}; they are of another method, or incomplete.")
        found = self.tensors[name]
        if tuple(found.shape) != shape:
            raise BadInput(f"{name} in {self.folder} has shape {tuple(found.shape)}; wanted {shape}.")
        if found.dtype != torch.int8:
            return found
        return found * self.take(f"{name}.{SCALE}", shape[0])[:, None]

    def number(self, key: str, low: int = 1, default: int | None = None) -> int:
        """A whole number of the config, at least `low`. Raises BadInput."""
        value = self.config.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise BadInput(f"{key} in {self.folder / CONFIG_FILE} is {value!r:.60}; wanted a whole number from {low}.")
        return value

    def real(self, key: str, default: float) -> float:
        """A number of the config. Raises BadInput."""
        value = self.config.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
            raise BadInput(f"{key} in {self.folder / CONFIG_FILE} is {value!r:.60}; wanted a number.")
        return float(value)

    def rope(self) -> dict[str, Any]:
        """The config's rotary embedding. Raises BadInput."""
        found = self.config.get("rope", {})
        if not isinstance(found, dict):
            raise BadInput(f"rope in {self.folder / CONFIG_FILE} is {found!r:.40}; wanted an object.")
        return found

    def taps(self, num_layers: int, default: Sequence[int] = ()) -> tuple[int, ...]:
        """The target's states that are read, of a target of so many layers. Raises BadInput."""
        layers = self.config.get("hidden_layers", list(default))
        path = self.folder / CONFIG_FILE
        if not isinstance(layers, list) or not 0 < len(layers) <= MOST_TAPS or not all(type(i) is int for i in layers):
            raise BadInput(f"hidden_layers in {path} is {layers!r:.60}; wanted a list of the target's layers.")
        if strange := [layer for layer in layers if not -1 <= layer <= num_layers]:
            raise BadInput(f"The weights in {self.folder} read states {strange}; the target has 0 to {num_layers}.")
        return tuple(layers)

    def check_heads(self, numbers: Mapping[str, int]) -> None:
        """Raises BadInput where heads cannot be shared or turned."""
        if numbers["num_attention_heads"] % numbers["num_key_value_heads"] or numbers["head_dim"] % 2:
            raise BadInput(
                f"{self.folder / CONFIG_FILE}: key heads do not divide attention heads, or a head's width is odd."
            )

    def shape(self) -> Shape | None:
        """The static tree that was measured for them; None where none was. Raises BadInput."""
        path = self.folder / SHAPE_FILE
        return shapes.from_rows(_read_json(path)) if path.is_file() else None

    def shares(self) -> list[float] | None:
        """Share of steps in which each node was accepted, in the order of drafting; None where none was measured.

        Raises BadInput.
        """
        path = self.folder / SHARES_FILE
        if not path.is_file():
            return None
        try:
            return [float(share) for share in _read_json(path)]
        except (TypeError, ValueError, OverflowError) as error:
            raise BadInput(f"{path} is not a list of shares.") from error

    def vocabulary(self, vocab_size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Ids of the tokens worth drafting; all where the folder names none. Raises BadInput."""
        path = self.folder / VOCABULARY_FILE
        if not path.is_file():
            return np.arange(vocab_size)
        ids = _read_json(path)
        is_list = isinstance(ids, list) and all(isinstance(token, int) and 0 <= token < vocab_size for token in ids)
        if not is_list or not ids or len(set(ids)) < len(ids):
            raise BadInput(f"{path} is not a list of different token ids below {vocab_size}.")
        return np.array(ids, np.int64)

    def check_sizes(self, loaded: LoadedModel, width: int, vocab_size: int) -> None:
        """Raises BadInput where they are made for another width or number of tokens than the target's."""
        output = loaded.model.get_output_embeddings()
        if (width, vocab_size) != (output.in_features, output.out_features):
            raise BadInput(
                f"These {self.method} weights are for a target of width {width} with {vocab_size} tokens; "
                f"{loaded.name} has width {output.in_features} and {output.out_features} tokens."
            )


def find_weights(target: Target, method: str, given: str) -> Weights:
    """The weights of a method for a target: its own ("auto"), those of a folder, or published ones by their hub id.

    Raises BadInput where there are none, where they cannot be read, or where they are another target's, and
    LoadingStopped.
    """
    folder = _folder(target, method, given)
    weights = target.facts.keep(("weights", method, folder, _stamp(folder)), lambda: _load(method, folder))
    if reason := _is_for_another(weights.config, folder, target, method):
        raise BadInput(reason)
    return weights


def _folder(target: Target, method: str, given: str) -> Path:
    if given == "auto":
        found = weights_folder(target.facts, method)
        if found is None:
            raise BadInput(_how_to_get(target, method))
        return found
    folder = Path(given).expanduser()
    if folder.is_dir():
        return folder
    if is_hub_id(given):  # the Hub is asked once for each loaded target
        return target.facts.keep(("published", method, given), lambda: published(given, method))
    raise BadInput(
        f"There is no folder {given}; give auto, a folder that `engine train {method}` wrote, or the id of published "
        "weights on the Hub (owner/name)."
    )


def missing_reason(target: Target | None, method: str) -> str | None:
    """Why a target has no weights of its own for a method, in a sentence; None where it has."""
    if target is None:
        return None
    folder = weights_folder(target.facts, method)
    if folder is None:
        return _how_to_get(target, method)
    try:
        return _is_for_another(_read_config(folder), folder, target, method)
    except BadInput as error:
        return str(error)


def _how_to_get(target: Target, method: str) -> str:
    name = target.facts.name
    if hub_id := published_heads(target.facts).get(method):
        return f"The {method} weights for {name} are published as {hub_id}: name that with the option weights."
    return (
        f"No {method} weights are known for {name}; train them with python -m engine train {method} --target {name} "
        "--data TEXTS --out FOLDER, and name the folder with the option weights."
    )


def _is_for_another(config: dict[str, Any], folder: Path, target: Target, method: str) -> str | None:
    """Why these weights are not this target's; None where they are, or do not say."""
    theirs, ours = config.get("target_fingerprint"), target.facts.weights_fingerprint
    if theirs in (None, ours) or is_kin(str(theirs), config.get("target"), target.facts):
        return None
    return (
        f"The {method} weights in {folder} were trained for {config.get('target')} ({theirs}), and this target is "
        f"{target.facts.name} ({ours}); train them for it, or load the target that they belong to."
    )


def kinship(weights: Weights, target: Target) -> str:
    """Which weights of its family they were trained on, where those are not the target's own; else empty."""
    theirs, ours = weights.config.get("target_fingerprint"), target.facts.weights_fingerprint
    if theirs in (None, ours):
        return ""
    return (
        f"The {weights.method} weights were trained on {origin(str(theirs))}, and {target.facts.name} has "
        f"{origin(ours)} of the same model: the text is as exact, and fewer drafts may be accepted."
    )


def _stamp(folder: Path) -> tuple[tuple[str, int], ...]:
    """Changes where a file of the folder does."""
    return tuple(sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()))


def _load(method: str, folder: Path) -> Weights:
    config = _read_config(folder)
    tensors: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError, UnicodeError) as error:
            raise BadInput(
                f"The weights {path} are missing, corrupt or cut off ({error}); fetch them again."
            ) from error
    return Weights(method, folder, config, tensors)


def _weight_files(folder: Path) -> list[Path]:
    index = folder / INDEX_FILE
    if index.is_file():
        parts = _read_object(index).get("weight_map", {})
        named = list(parts.values()) if isinstance(parts, dict) else [None]
        names = [name for name in named if isinstance(name, str) and len(name) <= MOST_NAME_CHARS]
        if len(names) < len(named):
            raise BadInput(f"The file {index} does not name its parts; fetch it again.")
        return [folder / Path(name).name for name in sorted(set(names))]
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise BadInput(f"The folder {folder} holds no safetensors file; weights in other formats are not read.")
    return found


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise BadInput(f"The folder {folder} holds no {CONFIG_FILE}; wanted a drafter's weights folder.")
    return _read_object(path)


def _read_object(path: Path) -> dict[str, Any]:
    found = _read_json(path)
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no JSON object.")
    return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read as JSON: {error}") from error
