"""The page's scripts as functions: one blank page, whose loaded scripts are called with plain values."""

from __future__ import annotations

import json
import re
from typing import Any

from specviz.pages import files, scripts

ORIGIN = "http://localhost/"
"""Served by nobody: the blank page is answered inside the browser."""
HTML = "text/html; charset=utf-8"
LOADER = """
window.loaded = [];
// Modules, those that draw in a component of ours, with watchers, events and server functions that are recorded.
window.load = (source, mounts, constants, value, answers) => {
  const element = document.body.appendChild(document.createElement('div'));
  element.className = 'sv-component';
  const props = { value, ...constants.props }, watchers = [], said = [], asked = [];
  const server = Object.fromEntries(Object.entries(answers).map(([name, text]) => [name, async (given) => {
    asked.push([name, given]);
    return (0, eval)('(' + text + ')')(given);
  }]));
  const watch = (_, listener) => watchers.push(listener), trigger = (...told) => said.push(told);
  const own = { element, props, server, watch, trigger };
  const run = new Function('component_', ...Object.keys(own), source + '\\nreturn (asked_) => eval(asked_);');
  const component = { ...constants, ...own };
  const outside = run(component, ...Object.values(own));
  for (const mount of mounts) outside(mount)(component);
  const inside = component.inside || outside;
  const set = (next) => { props.value = next; for (const listener of watchers) listener(); };
  return loaded.push({ inside, element, set, said, asked }) - 1;
};
"""
MOUNT = re.compile(r"^function mount\w+\(component\) \{\n", re.MULTILINE)
INSIDE = r"\g<0>component.inside ??= (asked_) => eval(asked_);\n"
CLEAR = """() => {
  document.body.replaceChildren();
  document.body.className = 'gradio-container';
  localStorage.clear();
}"""
FAKE_PLOTLY = """() => {
  window.plotted = [];
  const tell = (what) => (node, ...given) => {
    if (node.isConnected === false) return; // of a test before: its observers are told when a frame is drawn
    plotted.push([what, ...given]);
    node.data = given[0];
    node.on = (name, listener) => { if (name === 'plotly_click') node.picked = listener; };
  };
  const react = async (...given) => tell('react')(...given);
  const animate = async (node, { data }) => tell('animate')(node, data);
  window.Plotly = { react, animate, relayout: tell('relayout'), downloadImage: tell('save'),
    Fx: { hover: (_, points) => plotted.push(['hover', points]) }, Plots: { resize() {} } };
}"""


SOON = "() => new Promise((resolve) => setTimeout(resolve, 5))"
"""What a server function answered has been taken in."""


class Loaded:
    """Scripts that have run, in an element of their own."""

    def __init__(self, page: Any, place: int) -> None:
        self._page = page
        self._place = place

    def __call__(self, function: str, *given: Any) -> Any:
        """What a function of the scripts, or one written here that sees theirs, returns for plain values."""
        run = "([place, text, given]) => loaded[place].inside('(' + text + ')')(...given)"
        return self._page.evaluate(run, [self._place, function, list(given)])

    def set(self, value: Any) -> None:
        """A new value from the server: a JSON text."""
        run = "([place, text]) => loaded[place].set(text)"
        self._page.evaluate(run, [self._place, value if isinstance(value, str) else json.dumps(value)])

    @property
    def said(self) -> list[Any]:
        """What was told to the server: each event with what it said."""
        return self._of("said")

    @property
    def asked(self) -> list[Any]:
        """Which server functions were asked, each with what it was given."""
        return self._of("asked")

    def _of(self, name: str) -> list[Any]:
        found: list[Any] = self._page.evaluate("([place, name]) => loaded[place][name]", [self._place, name])
        return found

    def texts(self, selector: str) -> list[str]:
        """The texts of its elements."""
        return self._each(selector, "node.textContent")

    def attributes(self, selector: str, name: str) -> list[str | None]:
        """An attribute of its elements."""
        return self._each(selector, f"node.getAttribute({json.dumps(name)})")

    def _each(self, selector: str, what: str) -> list[Any]:
        run = f"([place, selector]) => [...loaded[place].element.querySelectorAll(selector)].map((node) => {what})"
        found: list[Any] = self._page.evaluate(run, [self._place, selector])
        return found

    def act(self, selector: str, event: str, nth: int = 0, **fields: Any) -> None:
        """An event on one of its elements; `value` and `checked` are set before it."""
        run = """([place, selector, name, nth, { value, checked, ...init }]) => {
          const node = loaded[place].element.querySelectorAll(selector)[nth];
          if (value !== undefined) node.value = value;
          if (checked !== undefined) node.checked = checked;
          if (name === 'click') return node.click();
          const kind = name.startsWith('key') ? KeyboardEvent : Event;
          node.dispatchEvent(new kind(name, { bubbles: true, cancelable: true, ...init }));
        }"""
        self._page.evaluate(run, [self._place, selector, event, nth, fields])


class Scripts:
    """The blank page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.page.route("**/*", lambda route: route.fulfill(body=self._blank(), content_type=HTML))
        self.page.route("**/specviz/js-*/*.js", self._module)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(ORIGIN)

    def clear(self) -> None:
        """Nothing on it, nothing kept; the listeners of the window stay."""
        self.errors.clear()
        self.page.evaluate(CLEAR)

    def fake_plotly(self) -> None:
        """A chart library that only remembers what it was told, in `window.plotted`."""
        self.page.evaluate(FAKE_PLOTLY)

    def close(self) -> None:
        """The page's context with it."""
        self.page.context.close()

    def load(self, *names: str, value: Any = "", answers: dict[str, str] | None = None, **constants: Any) -> Loaded:
        """These modules and what they import, those that draw in a component of their own, charts with a fake library.

        Whoever calls a function sees the names of the modules, and within the first that draws, its own. `answers`:
        server functions as scripts.
        """
        if "plot" in scripts.with_imports(*names):
            self.fake_plotly()
        source = MOUNT.sub(INSIDE, scripts.joined(*names))
        mounts = [scripts.mount(name) for name in names if scripts.mount(name)]
        text = value if isinstance(value, str) else json.dumps(value)
        run = "(given) => load(...given)"
        return Loaded(self.page, self.page.evaluate(run, [source, mounts, constants, text, answers or {}]))

    def imported(self, name: str, run: str = "Object.keys", *given: Any) -> Any:
        """What a function returns that is given this module, imported by the browser itself, and plain values."""
        text = "async ([address, run, given]) => (0, eval)('(' + run + ')')(await import(address), ...given)"
        return self.page.evaluate(text, [ORIGIN + scripts.address(name), run, list(given)])

    @staticmethod
    def _module(route: Any) -> None:
        name = route.request.url.rpartition("/")[2].removesuffix(".js")
        route.fulfill(body=scripts.text(name), content_type="text/javascript")

    @staticmethod
    def _blank() -> str:
        head = f"<style>{files.styles()}</style><script>{LOADER}</script>"
        return f"<!doctype html><html><head>{head}</head><body class='gradio-container'></body></html>"
