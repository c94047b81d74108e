"""What Playground and Compare do alike: Stop, a visitor's own model, and what follows the model that is chosen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
from gradio.components import Component

from specviz.decoding.session import Sessions
from specviz.pages import asking, own_model
from specviz.pages.drawn import QUIET
from specviz.showing.notices import Happening

OFF, ON = gr.Button(interactive=False), gr.Button(interactive=True)


@dataclass(frozen=True)
class Controls:
    """What both ask with."""

    prompt: gr.Textbox
    sharing: gr.Dropdown
    examples: gr.HTML
    model: gr.Dropdown
    settings: gr.HTML
    run: gr.Button
    stop: gr.Button


class Running(ABC):
    """A view that runs something on the device and shows it on a stage."""

    sessions: Sessions
    busy: ClassVar[tuple[gr.Button, ...]]
    """The view's buttons while something runs."""
    ready: ClassVar[tuple[gr.Button, ...]]

    @abstractmethod
    def _shown(self, batches: Generator[list[Happening], None, None]) -> Iterator[str]:
        """What happens as messages for the stage."""

    def stop(self, who: gr.Request) -> None:
        """The Stop button."""
        self.sessions.stop(asking.visitor_of(who))

    def load_own(self, settings: object, event: gr.EventData, who: gr.Request) -> Iterator[tuple[Any, ...]]:
        """The Load button of a visitor's own model: stage, the view's buttons, model, settings."""
        form = own_model.OwnModel(self.sessions, self._shown)
        yield from form.pressed(settings, event, who, self.busy, self.ready)

    def _wire_model(self, controls: Controls, told: Sequence[Component], runs: Sequence[Any]) -> None:
        """`told`: the stage and the view's buttons; `runs`: events behind which another model may be loaded."""
        device = self.sessions.device
        catalog, told_of = asking.follow_catalog(device, controls.settings)
        for event in (controls.model.change, *(run.then for run in runs)):
            event(told_of, [controls.model], [catalog], **QUIET)
        if device.takes_own:
            outputs = [*told, controls.model, controls.settings]
            loaded = controls.settings.load_own(self.load_own, [controls.settings], outputs, **QUIET)
            loaded.then(told_of, [controls.model], [catalog], **QUIET)
        controls.examples.pick(asking.pick, None, [controls.prompt], queue=False, **QUIET)
        asking.follow_model(controls.model, controls.prompt, controls.examples)
