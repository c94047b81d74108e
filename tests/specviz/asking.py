"""What a visitor asks for, and what comes of it."""

from __future__ import annotations

import json
from typing import Any, cast

from scripted import ScriptedDevice
from stored import session

from specviz.decoding.device import Request
from specviz.decoding.request import parse
from specviz.decoding.session import Sessions
from specviz.pages.saved import SavedRuns
from specviz.showing.channel import Streams
from specviz.showing.notices import Happening
from specviz.store import RunCopy, Store


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
    store.add_copies([RunCopy(tuple(session(name))) for name in names])
    return SavedRuns(store, Streams())
