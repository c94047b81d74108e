"""The package of a Space with a shared GPU, as a stub: what is decorated runs in a process that is forked for it.

Arguments and results cross as bytes, so that what cannot be pickled fails; what the process changes stays there.
"""

from __future__ import annotations

import inspect
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from typing import Any


class QuotaExceeded(Exception):
    """As Gradio's error, which is shown on a page of its own."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ForkingSpaces:
    """`GPU(duration=…)`, and what was asked of it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.num_open = 0
        self.refusal: Exception | None = None
        """Raised in place of lending."""
        self.dies_after: int | None = None
        """Results after which the process is gone."""

    def GPU(self, duration: Any = 60) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: N802 - its name
        """The decorator."""

        def decorate(work: Callable[..., Any]) -> Callable[..., Any]:
            is_stream = inspect.isgeneratorfunction(work)

            def stream(*args: Any) -> Iterator[Any]:
                self._ask(duration, args)
                yield from self._forked(work, pickle.dumps(args))

            def once(*args: Any) -> Any:
                self._ask(duration, args)
                (found,) = self._forked(lambda *given: iter((work(*given),)), pickle.dumps(args))
                return found

            return stream if is_stream else once

        return decorate

    def _ask(self, duration: Any, args: Any) -> None:
        self.seconds.append(duration(*args) if callable(duration) else duration)
        if self.refusal is not None:
            raise self.refusal

    def _forked(self, work: Callable[..., Iterator[Any]], given: bytes) -> Iterator[Any]:
        ours, theirs = Pipe(duplex=False)
        process = os.fork()
        if process == 0:
            try:
                for number, found in enumerate(work(*pickle.loads(given))):
                    if self.dies_after is not None and number >= self.dies_after:
                        break
                    theirs.send(("result", found))
                else:
                    theirs.send(("end", None))
            except BaseException as error:  # noqa: BLE001 - told as the package tells it
                theirs.send(("error", type(error).__name__))
            finally:
                os._exit(0)
        theirs.close()
        self.num_open += 1
        try:
            while True:
                try:
                    kind, found = ours.recv()
                except EOFError:
                    raise QuotaExceeded("GPU task aborted") from None
                if kind == "error":
                    raise QuotaExceeded(f"<b>{found}</b> in the worker")
                if kind == "end":
                    return
                yield found
        finally:
            self.num_open -= 1
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
