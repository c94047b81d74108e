"""Where suites lie: the project's own below assets/suites, the field's in a folder that is named or lies beside us.

The project's own are of one kind of model each, as `Preset.kind` says. The field's are looked for in the folder that is
given, else in the one that `SPECVIZ_SUITES` names, else in `shared/data/bench` inside or beside the project.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from engine.errors import BadInput, UnknownName
from engine.models import ASSETS

FOLDER_VARIABLE = "SPECVIZ_SUITES"
OWN = {"story": ASSETS / "suites", "general": ASSETS / "suites" / "general"}
"""Folders of the project's own suites by the kind of model that they are for."""
FIELD = {
    "spec_bench": ("spec_bench.question.jsonl", "spec_bench/question.jsonl"),
    "mt_bench": ("mt_bench.question.jsonl", "mt_bench/question.jsonl"),
    "humaneval": ("HumanEval.jsonl.gz", "HumanEval.jsonl"),
    "gsm8k": ("gsm8k.test.jsonl", "gsm8k/test.jsonl"),
    "mbpp": ("mbpp.jsonl",),
}
"""Suites of the field and the names of their files as they are published."""
_ENDINGS = (".jsonl", ".jsonl.gz")
_BESIDE = tuple(folder / "shared" / "data" / "bench" for folder in (ASSETS.parent, ASSETS.parent.parent))


def names(kind: str | None = None, folder: Path | None = None) -> list[str]:
    """The project's own suites for a kind of model, or for every kind, and the field's that are found."""
    return own_names(kind) + field_names(folder)


def own_names(kind: str | None = None) -> list[str]:
    """The project's own suites for a kind of model, or for every kind."""
    folders = OWN.values() if kind is None else [OWN[kind]]
    return sorted(path.stem for folder in folders for path in folder.glob("*.jsonl"))


def field_names(folder: Path | None = None) -> list[str]:
    """The field's suites that are found."""
    return [name for name in FIELD if field_of(name, folder)]


def field_of(name: str, folder: Path | None = None) -> Path | None:
    """The file of a suite of the field; None where there is none."""
    found = (place / file for place in _places(folder) for file in FIELD[name])
    return next((path for path in found if path.is_file()), None)


def locate(name: str, folder: Path | None = None) -> Path:
    """The file of a suite by its name or path. Raises UnknownName, or BadInput where the field's is not found."""
    own = next((place / f"{name}.jsonl" for place in OWN.values() if name in _stems(place)), None)
    if own is not None:
        return own
    if name in FIELD:
        return field_of(name, folder) or _not_found(name, folder)
    if name.endswith(_ENDINGS):
        return Path(name)
    raise UnknownName("suite", name, [*names(None, folder), "all", "FILE.jsonl"])


def _stems(place: Path) -> set[str]:
    return {path.stem for path in place.glob("*.jsonl")}


def _places(folder: Path | None) -> tuple[Path, ...]:
    given = folder or os.environ.get(FOLDER_VARIABLE)
    return (Path(given).expanduser(),) if given else _BESIDE


def _not_found(name: str, folder: Path | None) -> NoReturn:
    places = " and ".join(map(str, _places(folder)))
    raise BadInput(
        f"The suite {name} is not part of this project and was not found: looked for {' or '.join(FIELD[name])} in "
        f"{places}. Name a folder that holds it with --suites FOLDER or {FOLDER_VARIABLE}."
    )
