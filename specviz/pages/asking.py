"""What Playground and Compare ask a visitor with: prompt, examples, model, settings; and how both answer a mistake."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

import gradio as gr

from engine.errors import BadInput
from engine.models import kind_of
from engine.options import OptionSpec
from specviz.decoding import offers
from specviz.decoding.device import Device, problems
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import Visitors, address_of
from specviz.explaining import examples
from specviz.mishaps import broke
from specviz.pages import files
from specviz.pages.drawn import QUIET, Answer, drawn
from specviz.policy import Policy
from specviz.showing import channel
from specviz.showing.channel import Channel, S
from specviz.showing.notices import Happening
from specviz.text import to_wire

R = TypeVar("R")


def told(messages: Iterator[str]) -> Generator[str, None, None]:
    """The messages of a run; what the visitor got wrong, or a bug, as one alert."""
    try:
        yield from messages
    except BadInput as error:
        yield channel.alert(str(error))
    except Exception:  # noqa: BLE001 - a bug must not leave the page with its buttons off
        yield channel.alert(f"{broke('The page')} What was decoded is saved; please try again.")


def streamed(
    batches: Generator[list[Happening], None, None],
    stream: Channel[S],
    state: S,
    fold_all: Callable[[S, list[Happening]], S],
) -> Iterator[str]:
    """What happens as messages for a stage, folded into `state`. Closing it closes the batches."""
    with closing(batches):
        for batch in batches:
            state = fold_all(state, batch)
            yield stream.delta(state)
    yield stream.snapshot(state)


def beside(messages: Generator[str, None, R], others: Sequence[Any]) -> Generator[tuple[Any, ...], None, R]:
    """Each message of a stage beside what a view's other outputs are meanwhile; returns what `messages` does.

    The others stand in every yield. Gradio's page is sent what differs from the yield before, and takes what a yield
    leaves out away from the former yields too, of which a slow page may not have shown any.
    """
    yield gr.skip(), *others
    with closing(messages):
        while True:
            try:
                yield next(messages), *others
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]


def start_and_stop(label: str, start_id: str, stop_id: str) -> tuple[gr.Button, gr.Button]:
    """The two buttons of whatever goes on for a while."""
    start = gr.Button(label, variant="primary", elem_id=start_id, min_width=96, scale=2)
    return start, gr.Button("Stop", variant="stop", elem_id=stop_id, interactive=False, min_width=72, scale=1)


def visitor_of(who: gr.Request | None) -> str:
    """Who is asking: one open page."""
    return str(getattr(who, "session_hash", None) or uuid.uuid4().hex)


def asker(sessions: Sessions, who: gr.Request | None) -> tuple[str, str]:
    """Who is asking, and where from."""
    return visitor_of(who), address_of(who, sessions.policy.proxies)


def greet(visitors: Visitors, event: gr.EventData, who: gr.Request | None) -> None:
    """The page says whose it is, and in which tab."""
    visitors.greet(visitor_of(who), getattr(event, "visitor", ""), getattr(event, "tab", ""))


def rejoined(
    sessions: Sessions, view: str, event: gr.EventData, who: gr.Request
) -> Generator[list[Happening], None, None] | None:
    """A page has been loaded: what goes on in its tab in this view, if anything does."""
    greet(sessions.visitors, event, who)
    return sessions.join(visitor_of(who), view)


def prompt_box(device: Device, elem_id: str) -> gr.Textbox:
    """The prompt; at first an example's, of the first model's kind."""
    return gr.Textbox(
        label="Prompt",
        value=first_prompt_of(device),
        lines=5,
        max_lines=14,
        placeholder="Ask for something …",
        elem_id=elem_id,
        elem_classes=["sv-prompt"],
    )


def sharing_menu(policy: Policy, elem_id: str) -> gr.Dropdown:
    """Who will see what is typed, said where it is typed; its value goes with the run."""
    kept = f" Kept for {policy.keep_days:g} days." if policy.keep_days else ""
    here = "Strangers use this page too." if policy.is_public else "For whoever opens this page."
    choices = [
        ("Everybody here: it is in the list of runs", "listed"),
        ("You, and whoever has its link", "private"),
        ("Nobody: it is not kept", "unkept"),
    ]
    return gr.Dropdown(
        choices,
        value=policy.sharing,
        label="Who will see this",
        info=f"{here}{kept}",
        elem_id=elem_id,
        elem_classes=["sv-model"],
        filterable=False,
    )


def first_prompt_of(device: Device) -> str:
    """An example's, of the first model's kind."""
    return examples.first_prompt(_first_kind(device))


def example_chips(device: Device, elem_id: str) -> gr.HTML:
    """Examples by task, those of the kind of model that is its value; its event `pick` goes to `pick`."""
    first = _first_kind(device)
    return drawn(elem_id, "chips", first, known={"MENUS": files.example_menus(), "FIRST": first})


def follow_model(model: gr.Dropdown, prompt: gr.Textbox, chips: gr.HTML) -> None:
    """The examples are of the model's kind; so is the prompt, where a visitor chose the model and typed no prompt."""
    model.change(lambda name: kind_of(str(name)), [model], [chips], queue=False, **QUIET)
    model.input(
        lambda name, written: examples.prompt_for(kind_of(str(name)), str(written)),
        [model, prompt],
        [prompt],
        queue=False,
        **QUIET,
    )


def _first_kind(device: Device) -> str:
    """The kind of the model that is chosen at first."""
    return kind_of(next(iter(device.models())))


def pick(event: gr.EventData) -> str:
    """An example's prompt by its id."""
    wanted = getattr(event, "example", None)
    found = next((example.prompt for example in examples.examples() if example.id == wanted), None)
    return gr.skip() if found is None else found


def model_menu(device: Device, elem_id: str) -> gr.Dropdown:
    """The device's models, the first chosen; where visitors bring their own, any name may be typed."""
    choices = [(title, name) for name, title in device.models().items()]
    return gr.Dropdown(
        choices,
        value=choices[0][1],
        label="Model",
        elem_id=elem_id,
        elem_classes=["sv-model"],
        allow_custom_value=device.takes_own,
    )


def settings_form(
    device: Device, elem_id: str, first: str, script: str, *, serves: Mapping[str, Answer] | None = None
) -> gr.HTML:
    """Controls that this script makes from the catalog; its value is their settings as JSON text, at first `first`.

    `serves`: the server functions that it asks.
    """
    return drawn(elem_id, script, first, serves=serves, known={"CATALOG": catalog(device), "FIRST": first})


def catalog(device: Device, model: str = "") -> str:
    """Methods and settings with their ranges, as JSON text from which the page makes controls.

    What cannot run says why: on a model, or on the first one.
    """
    lacking = problems(device, model)
    methods = [
        {
            "name": method.name,
            "title": method.title,
            "summary": f"{method.summary} ({method.source})",
            "guarantee": method.guarantee,
            "problem": lacking.get(method.name, ""),
            "options": [_option(device, spec, lacking) for spec in offers.own_specs(device, method)],
        }
        for method in device.methods()
    ]
    specs = {
        "sampling": offers.sampling_specs(device.most_tokens),
        "stopping": offers.stopping_specs(),
        "conversation": _readings(device, model),
        "loading": offers.loading_specs(device) if device.takes_own else (),
    }
    return json.dumps({"methods": methods} | {name: [_field(spec) for spec in given] for name, given in specs.items()})


def follow_catalog(device: Device, form: gr.HTML) -> tuple[gr.HTML, Callable[[object], str]]:
    """What tells a form that another model was chosen or loaded: the component, and its value for a model."""

    def told(model: object) -> str:
        made = json.loads(catalog(device, str(model)))
        return to_wire({"form": form.elem_id, "catalog": made, "nonce": uuid.uuid4().hex})

    return drawn(f"{form.elem_id}-catalog", "catalog"), told


def _readings(device: Device, model: str) -> tuple[OptionSpec, ...]:
    """Without thinking where the model's template is known to have no switch for it."""
    name = model or next(iter(device.models()))
    has_switch = device.has_thinking_switch(name) is not False
    return tuple(spec for spec in offers.conversation_specs() if has_switch or spec.name != "thinking")


def _option(device: Device, spec: OptionSpec, lacking: Mapping[str, str]) -> dict[str, Any]:
    """A method's option; of one that names a method those that cannot run are told apart."""
    offered = offers.page_spec(device, spec)
    told = {} if offered.choices else {"suggestions": [*spec.words, *offers.known(device, spec)]}
    problems = {name: lacking[name] for name in offered.choices if name in lacking} if spec.kind == "method" else {}
    return _field(offered) | told | ({"problems": problems} if problems else {})


def _field(spec: OptionSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "label": spec.name.removesuffix("_s").replace("_", " ").capitalize(),
        "type": spec.type.__name__,
        "kind": spec.kind,
        "default": spec.default,
        "low": spec.low,
        "high": spec.high,
        "unit": spec.unit,
        "choices": list(spec.choices),
        "help": spec.help,
        "range": f"Takes {spec.range_text()}." if not spec.choices else "",
    }
