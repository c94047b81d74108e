"""The page's scripts as functions: one blank page, whose loaded scripts are called with plain values."""

from __future__ import annotations

import json
from typing import Any

from specviz.pages import files

ORIGIN = "http://localhost/"
"""Served by nobody: the blank page is answered inside the browser."""
HTML = "text/html; charset=utf-8"
LOADER = """
window.loaded = [];
// Scripts as a component gets them from Gradio, with watchers, events and server functions that are recorded.
window.load = (names, source, value, answers) => {
  const element = document.body.appendChild(document.createElement('div'));
  element.className = 'sv-component';
  const props = { value }, watchers = [], said = [], asked = [];
  const server = Object.fromEntries(Object.entries(answers).map(([name, text]) => [name, async (given) => {
    asked.push([name, given]);
    return (0, eval)('(' + text + ')')(given);
  }]));
  const watch = (_, listener) => watchers.push(listener), trigger = (...told) => said.push(told);
  const own = { element, props, server, watch, trigger };
  const given = names.includes('offline') ? { element } : own;
  const run = new Function(...Object.keys(given), source + '\\nreturn (asked_) => eval(asked_);');
  const inside = run(...Object.values(given));
  const set = (next) => { props.value = next; for (const listener of watchers) listener(); };
  return loaded.push({ inside, element, set, said, asked }) - 1;
};
"""
CLEAR = """() => {
  document.body.replaceChildren();
  document.body.className = 'gradio-container';
  localStorage.clear();
}"""
FAKE_PLOTLY = """() => {
  window.plotted = [];
  const tell = (what) => (node, ...given) => {
    plotted.push([what, ...given]);
    node.data = given[0];
    node.on = (name, listener) => { if (name === 'plotly_click') node.picked = listener; };
  };
  const react = async (...given) => tell('react')(...given);
  window.Plotly = { react, relayout: tell('relayout'), downloadImage: tell('save'),
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
        """These scripts as the page gets them, in their order, those that draw charts with a fake library.

        `answers`: server functions as scripts.
        """
        if "plot" in names:
            self.fake_plotly()
            constants = {"PLOTLY": "/none"} | constants
        source = files.on_load(*names, **constants)
        text = value if isinstance(value, str) else json.dumps(value)
        run = "([names, source, value, answers]) => load(names, source, value, answers)"
        return Loaded(self.page, self.page.evaluate(run, [list(names), source, text, answers or {}]))

    @staticmethod
    def _blank() -> str:
        head = f"<style>{files.styles()}</style><script>{LOADER}</script>"
        return f"<!doctype html><html><head>{head}</head><body class='gradio-container'></body></html>"
