"""A piece of work in a thread of its own, beside what the caller does: begun when it is made, ended by `result`.

Its passes run in that thread alone, so that it and the caller's passes do not wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from engine.runtime.compiled import HAS_COMPILER


class Beside:
    """Work under way."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="specviz-beside")
        self._thread.start()

    def _run(self) -> None:
        try:
            with _alone():
                self._work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

    def result(self) -> None:
        """Wait for the end of the thread. Raises what the work raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error


def _alone() -> AbstractContextManager[None]:
    if not HAS_COMPILER:
        return nullcontext()
    from engine.runtime.cpu.crew import CREW

    return CREW.alone()
