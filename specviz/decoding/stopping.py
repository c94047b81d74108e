"""Work that its visitor may give up at any moment, whether or not it notices by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine.models.watch import LoadingStopped

LOOK_EVERY_S = 0.1


def stoppable(work: Callable[[], None], should_stop: Callable[[], bool], unfinished: list[threading.Thread]) -> None:
    """Do it in a thread of its own and wait for it. Raises what it raises, or LoadingStopped as soon as it is to stop.

    Libraries that read and convert models look up only now and then: a thread that goes on is left in `unfinished`.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=run, name="load", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_EVERY_S)
        if thread.is_alive() and should_stop():
            unfinished.append(thread)
            raise LoadingStopped
    if errors:
        raise errors[0]
