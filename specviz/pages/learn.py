"""Learn: a guided tour of five stops through a recorded run, a page per method, the glossary."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gradio.components import Component

from specviz.decoding.device import Device
from specviz.explaining import glossary, prose, recording
from specviz.pages.drawn import Answer, drawn
from specviz.showing.trace import trace
from specviz.text import to_wire

NUM_STOPS = 5
MAX_TERM_CHARS = 40


@dataclass(frozen=True)
class Learn:
    """The page and its handlers."""

    id: ClassVar[str] = "learn"
    title: ClassVar[str] = "Learn"
    device: Device

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """What the address names: a stop of the tour (`step`, from 1), a method's page (`ids`), a word (`term`)."""
        step, method, term = query.get("step", ""), query.get("ids", ""), query.get("term", "")
        is_stop = step in [str(stop) for stop in range(1, NUM_STOPS + 1)]
        names = [each.name for each in self.device.methods()]
        message = {"stop": int(step) if is_stop else 0, "method": method if method in names else ""}
        message |= {"term": term, "alert": _missing(term)}
        return (to_wire(message | {"nonce": uuid.uuid4().hex}),)

    def read(self, _asked: object = None) -> str:
        """The recorded run as a trace."""
        return to_wire(trace(recording.events()))

    def method_page(self, name: object) -> str:
        """A method's page as trees of plain values."""
        method = next((each for each in self.device.methods() if each.name == name), None)
        if method is None:
            return to_wire({"alert": f"There is no method {str(name)[:40]!r}."})
        page = {"title": method.title, "summary": method.summary, "source": method.source}
        return to_wire(page | {"guarantee": method.guarantee, "trees": prose.method_page(method.name)})

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab."""
        methods = [[method.name, method.title, method.summary] for method in self.device.methods()]
        groups = {"FIGURES": glossary.figures(), "BENCH": glossary.bench_figures(), "WORDS": glossary.words()}
        entries = {name: [[term.slug, term.name, term.definition] for term in group] for name, group in groups.items()}
        serves: dict[str, Answer] = {"read": self.read, "method_page": self.method_page}
        return (drawn("learn", "learn", serves=serves, known={"METHODS": methods} | entries),)


def _missing(term: str) -> str:
    """A sentence where the glossary has no such term."""
    known = not term or term in glossary.terms()
    return "" if known else f"The glossary has no term {term[:MAX_TERM_CHARS]!r}; every one that it has is below."
