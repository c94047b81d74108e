"""Models and weights that lie in folders of this machine, by names that say nothing of where.

Whoever runs a public instance may start it with a folder; strangers read and send its last part alone, in menus,
requests, runs and files. Presets and ids of the Hub are names already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import models
from engine.events import Event, SessionStarted


class Places:
    """Both directions."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        """`named`: what the program was started with; of two folders of one name the second gets a number."""
        self._places: dict[str, str] = {}
        for place in dict.fromkeys(named):
            if _is_local(place):
                self._places[self._free(Path(place).resolve().name)] = place
        self._names = {place: name for name, place in self._places.items()}

    def name(self, place: str) -> str:
        """As visitors read it."""
        return self._names.get(place, place)

    def place(self, name: str) -> str:
        """What the engine opens."""
        return self._places.get(name, name)

    def meant(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """A method's options as the engine takes them."""
        return _through(options, self._places)

    def told(self, event: Event) -> Event:
        """An event as it may be kept and shown."""
        if not isinstance(event, SessionStarted):
            return event
        return replace(event, method_options=_through(event.method_options, self._names))

    def _free(self, name: str) -> str:
        taken = {*self._places, *models.presets()}
        numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
        return name if name not in taken else next(other for other in numbered if other not in taken)


def _is_local(place: str) -> bool:
    return bool(place) and place not in models.presets() and Path(place).exists()


def _through(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {key: names.get(value, value) if isinstance(value, str) else value for key, value in options.items()}
