"""A Hub without a network: one model with files of known sizes, some of them here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from engine.models import fetching

FILES = {"config.json": 10, "model.safetensors": 90, "flax_model.msgpack": 500, "original/model.safetensors": 900}


@dataclass
class Hub:
    """Stands in for the Hub's library in `engine.models.fetching`."""

    here: set[str] = field(default_factory=set)
    error: Exception | None = None
    fetched: list[str] = field(default_factory=list)
    part: Callable[[str], None] = lambda name: None
    """Called in the middle of each file."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Hub:
        monkeypatch.setattr(fetching, "HfApi", lambda: self)
        monkeypatch.setattr(fetching, "hf_hub_download", self.download)
        monkeypatch.setattr(
            fetching, "try_to_load_from_cache", lambda hub_id, name, revision: name if name in self.here else None
        )
        return self

    def model_info(self, hub_id: str, **how: Any) -> Any:
        if self.error is not None:
            raise self.error
        siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in FILES.items()]
        return SimpleNamespace(siblings=siblings, sha="abc")

    def download(self, hub_id: str, name: str, tqdm_class: Any) -> str:
        with tqdm_class(total=FILES[name], unit="B", initial=0) as bar:
            bar.update(FILES[name] // 2)
            self.part(name)
            bar.update_transfer(FILES[name])
            bar.update(FILES[name] - FILES[name] // 2)
        self.here.add(name)
        self.fetched.append(name)
        return name
