"""Who waits while a model is fetched, converted and read: is told how far it is, and may stop it.

What loads calls `report`, or lets a library draw its progress on a `Bar`; neither knows who listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from engine.errors import EngineError


class LoadingStopped(EngineError):
    """Whoever waited for a model does not any more."""

    def __init__(self) -> None:
        super().__init__("Stopped while the model was loading; nothing was run.")


@dataclass(frozen=True)
class Watch:
    """Somebody who waits, or nobody."""

    tell: Callable[[str], None] = lambda text: None
    should_stop: Callable[[], bool] = lambda: False

    def report(self, text: str = "") -> None:
        """How far loading is, in a few words. Raises LoadingStopped where it is to end."""
        if self.should_stop():
            raise LoadingStopped
        if text:
            self.tell(text)


NOBODY = Watch()
_WATCH: ContextVar[Watch] = ContextVar("watch", default=NOBODY)


def current() -> Watch:
    """Who waits for what this thread loads."""
    return _WATCH.get()


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """What is loaded inside is loaded for them."""
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def report(text: str = "") -> None:
    """As `Watch.report`, to whoever waits for what this thread loads."""
    current().report(text)


class Bar:
    """A progress bar as libraries use tqdm's, told in words: "Reading weights 40 %"."""

    def __init__(self, iterable: Iterable[Any] | None = None, *, what: str, total: float | None = None) -> None:
        self._iterable, self._what, self._watch = iterable, what, current()
        self.total = total or (len(iterable) if isinstance(iterable, Sized) else 0)
        self.n = 0.0
        self.format_dict: dict[str, float] = {}
        self._shown = -1

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable or ():
            yield item
            self.update()

    def update(self, n: float = 1) -> None:
        """Raises LoadingStopped where it is to end."""
        self.n += n
        percent = min(100, int(100 * self.n / self.total)) if self.total else 0
        self._watch.report(f"{self._what} {percent} %" if percent != self._shown else "")
        self._shown = percent

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Whatever else may be asked of a bar does nothing."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None
