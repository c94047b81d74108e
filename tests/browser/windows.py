"""Windows of one Chromium, lent to one test after another; an open page with what a test does on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PATIENCE_MS = 600_000
"""Long, since other work may share the machine and the first pass compiles; nothing waits longer than it must."""
LAST_WORD = "nothing of the page before comes behind this"
GIVEN_UP = ("AbortError", "Unexpected error Connection errored out.")
"""How what Gradio writes of a request begins that its page gave up."""


@dataclass
class Visit:
    """An open page with what it did wrong and whom it asked."""

    page: Any
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    num_opened: int = 0

    def note_error(self, error: Any) -> None:
        """Something was thrown and not caught; Gradio throws the requests that a page gives up when it is left."""
        if not (self.has_left and error.name == "AbortError"):
            self.errors.append(str(error))

    def note_message(self, message: Any) -> None:
        """Something was written to the console; Gradio writes that it gives a request up."""
        if message.type == "error" and not (self.has_left and message.text.startswith(GIVEN_UP)):
            self.errors.append(message.text)

    @property
    def has_left(self) -> bool:
        """Whether another page was open here before, whose last words may still come."""
        return self.num_opened > 1

    def note_request(self, request: Any) -> None:
        """Somebody was asked for something."""
        self.hosts.add(urlsplit(request.url).hostname or "127.0.0.1")

    def watch(self, *, is_over: bool = False) -> None:
        """Begin, or cease, to note what the page does."""
        change = self.page.remove_listener if is_over else self.page.on
        change("pageerror", self.note_error)
        change("console", self.note_message)
        change("request", self.note_request)

    @property
    def stage(self) -> Any:
        return self.page.locator("#stage .sv-stage")

    @property
    def text(self) -> str:
        """The output without its ghosts."""
        shown = ".sv-text .sv-token:not(.is-rejected):not(.is-unreached)"
        parts = self.stage.locator(shown).all_text_contents()
        return "".join(parts)

    def open(self, address: str, server: str | None = None) -> None:
        """Another address, of the same server unless another one is given."""
        self.num_opened += 1
        self.page.goto(f"{server or '{0.scheme}://{0.netloc}'.format(urlsplit(self.page.url))}/{address}")
        self.page.wait_for_selector(".sv-stage", state="attached")

    def reload(self) -> None:
        """The same address anew."""
        self.num_opened += 1
        self.page.reload()

    def choose(self, method: str, num_tokens: int, baseline: bool = False, prompt: str | None = None) -> None:
        if prompt is not None:
            self.page.fill("#prompt textarea", prompt)
        self.page.select_option("#sv-method-select", method)
        self.page.fill("input[name=max_new_tokens]", str(num_tokens))
        self.page.locator("#baseline input").set_checked(baseline)

    def run(self, button: str = "#run") -> None:
        """Press and wait until the run has begun."""
        before = self.stage.get_attribute("data-session")
        self.page.click(button)
        changed = "before => document.querySelector('#stage .sv-stage').dataset.session !== before"
        self.page.wait_for_function(changed, arg=before)

    def decode(self, method: str, num_tokens: int, baseline: bool = False, prompt: str | None = None) -> str:
        """A run to its end; its id."""
        self.choose(method, num_tokens, baseline, prompt)
        self.run()
        self.wait()
        return str(self.stage.get_attribute("data-session"))

    def wait(self, phase: str = "finished") -> None:
        self.page.wait_for_selector(f'#stage .sv-stage[data-phase="{phase}"]')
        self.page.wait_for_selector("#run:not([disabled])")


def new_page(browser: Any, **options: Any) -> Any:
    """A page, in a window of its own, that is waited for with patience."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


class Windows:
    """Windows that are lent to one test after another, each with its own cookies and storage, emptied between tests.

    A page that a window has shown before opens there in a third of the work that a new window needs (docs/log.md).
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._free: list[Any] = []

    def take(self, width: int, height: int, **options: Any) -> Any:
        """An empty page. One with options of its own is new."""
        size = {"width": width, "height": height}
        if options or not self._free:
            return new_page(self._browser, viewport=size, **options)
        page = self._free.pop()
        page.set_viewport_size(size)
        return page

    def give_back(self, page: Any, *, is_plain: bool) -> None:
        """Whatever it shows is left. Closed where it cannot be lent again."""
        if page.is_closed() or not is_plain:
            page.context.close()
            return
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
        page.evaluate("sessionStorage.clear()")
        page.goto("about:blank")
        with page.expect_console_message(lambda message: message.text == LAST_WORD):
            page.evaluate("word => console.log(word)", LAST_WORD)  # behind all that the page that was left still said
        session = page.context.new_cdp_session(page)
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        session.detach()
        page.context.clear_cookies()
        self._free.append(page)
