"""What a visitor asks for, and what comes of it: runs, happenings, answers, tables."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, cast

from scripted import ScriptedDevice, started, stepped
from stored import copy_of

from engine.events import Counts, Event, Prefilled, SessionFinished
from specviz.decoding.device import Request
from specviz.decoding.request import parse
from specviz.decoding.session import Sessions
from specviz.pages.saved import SavedRuns
from specviz.showing.channel import Streams
from specviz.showing.notices import Audited, Auditing, Ended, Happening, Opened
from specviz.store import Store


def settings(method: str = "scripted", sampling: dict[str, Any] | None = None, **options: Any) -> str:
    """As the page's controls give them."""
    chosen = {"max_new_tokens": 12} | (sampling or {})
    return json.dumps({"method": method, "options": {method: options}, "sampling": chosen})


def asked(device: ScriptedDevice, prompt: str = "Tell a story.", baseline: Any = True, **more: Any) -> Request:
    """A request that has been checked."""
    return parse(device, prompt, "toy", settings(**more), baseline)


def run_all(sessions: Sessions, wanted: Request, visitor: str = "v") -> list[Happening]:
    """All that happens in a run."""
    return [happening for batch in sessions.run(wanted, visitor) for happening in batch]


def of_type(happenings: list[Happening], kind: type) -> list[Any]:
    """Those of a kind."""
    return [happening for happening in happenings if isinstance(happening, kind)]


def ask(handler: Any, given: Any) -> dict[str, Any]:
    """A page's answer, which is fit for any template."""
    text = handler(given)
    assert text.isascii()
    assert "<" not in text
    return cast(dict[str, Any], json.loads(text))


def page_of(store: Store, *names: str) -> SavedRuns:
    """The Sessions view over a store that has these runs too."""
    store.add_copies([copy_of(name) for name in names])
    return SavedRuns(store, Streams())


TEXTS = ["Once", " upon", " a"]


def run(method: str = "scripted", num_steps: int = 3, session_id: str = "s1", reason: str = "eos") -> list[Event]:
    """Events of a session, three tokens a step, or one where it is plain."""
    steps: list[Event] = [stepped(i, TEXTS if method != "plain" else ["Once"]) for i in range(num_steps)]
    counts = Counts(num_steps, 4 * num_steps, 2 * num_steps, 3 * num_steps, num_steps)
    last = SessionFinished(reason, counts, num_steps * 1_000_000)  # type: ignore[arg-type]
    return [started(method, session_id=session_id), Prefilled(3, 2_000_000, 2), *steps, last]


def whole() -> list[Happening]:
    """A run beside a plain one, with its verdict."""
    plain: list[Happening] = [Opened("baseline"), *run("plain", 9, "p1")]
    return [*plain, Opened("method"), *run(), Auditing(), Audited("identical", "identical (9 tokens)"), Ended()]


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a CSV file, with or without a byte order mark."""
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
