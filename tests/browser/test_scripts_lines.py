"""Lines of a text on the page: columns of code, tokens that write in two lines, the switch, hostile text."""

from __future__ import annotations

import pytest

from tests.browser.given.tokens import ghost, step, text, token
from tests.browser.scripts_page import Loaded, Scripts

CODE = ["```python", "\n", "def", " f", "():", "\n   ", " return", " x", "\n\n", "\t", "y", "\n", "```", "\n", "end"]
GLYPHS = """() => [...document.querySelectorAll('.is-code > .sv-token')].map((node) => {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT), range = document.createRange();
  let last = null;
  while (walker.nextNode()) last = walker.currentNode;
  range.selectNodeContents(last);
  const box = range.getClientRects()[0];
  return [Math.round(box.left * 8), Math.round(box.width * 8)];
})"""
KINDS = "() => [...document.querySelectorAll('.sv-paragraph')].map((node) => node.className.slice(13))"
STYLES = """(selector) => [...document.querySelectorAll(selector)].map((node) => getComputedStyle(node))
  .map((style) => [style.fontWeight, style.fontFamily.includes('monospace')])"""
SWITCH = ("markdown",)


def of(scripts: Scripts, texts: list[str], *origins: str) -> Loaded:
    names = [origins[place % len(origins)] for place in range(len(texts))]
    return text(scripts, *(step(n, token(each, name)) for n, (each, name) in enumerate(zip(texts, names, strict=True))))


def test_code_stands_in_its_columns_whatever_marks_it(scripts: Scripts) -> None:
    bare = of(scripts, CODE, "plain")(GLYPHS)
    scripts.clear()
    for origins in (["accepted"], ["correction"], ["bonus"], ["accepted", "bonus", "correction"]):
        assert of(scripts, CODE, *origins)(GLYPHS) == bare
        scripts.clear()


def test_code_keeps_its_indentation(scripts: Scripts) -> None:
    shown = of(scripts, CODE, "accepted")
    assert shown(KINDS) == ["is-fence", "is-code", "is-code", "is-code", "is-fence", "is-text"]
    assert shown.texts(".sv-paragraph.is-code") == ["def f():\n", "    return x\n\n", "\ty\n"]
    edge = "(name) => [...document.querySelectorAll('.sv-body')].find((node) => node.textContent === name)"
    left = f"(name) => ({edge})(name).getBoundingClientRect().left"
    column = shown("() => document.querySelector('.is-code .sv-body').getBoundingClientRect().width") / 3
    assert shown(left, "return") == pytest.approx(shown(left, "def") + 4 * column, abs=0.1)
    assert shown(left, "y") == pytest.approx(shown(left, "def") + 4 * column, abs=0.1), "a tab goes to the next stop"


def test_a_long_line_of_code_hangs_behind_its_indentation(scripts: Scripts) -> None:
    shown = of(scripts, ["```\n", "    ", "x = 1; " * 60], "plain")
    first, second = shown(
        "() => [...document.querySelectorAll('.sv-body')][2].getClientRects().length > 1 && "
        "[...[...document.querySelectorAll('.sv-body')][2].getClientRects()].slice(0, 2).map(({ left }) => left)"
    )
    assert 30 < second - first < 40, "four columns further"
    assert shown("() => document.documentElement.scrollWidth") <= 1200


def test_rejected_drafts_stand_below_their_line_of_code(scripts: Scripts) -> None:
    given = [step(0, token("```\n")), step(1, token("a", "correction"), token(" = 1"), g=[ghost("b", 0)])]
    shown = text(scripts, *given)
    before = shown(GLYPHS)
    shown("() => stage.classList.add('has-ghosts')")
    assert shown.texts(".sv-asides") == ["b"]
    assert shown(GLYPHS) == before
    shown("(steps) => view.append(steps)", [step(2, token(";"))])
    assert shown.texts(".is-code") == ["a = 1;b"], "what follows stands before them"


def test_a_token_that_writes_in_two_lines_is_one(scripts: Scripts) -> None:
    shown = of(scripts, CODE, "accepted")
    assert shown.texts(".is-rest") == ["   "]
    assert shown.attributes(".is-rest", "aria-hidden") == ["true"]
    assert shown.attributes(".is-rest", "role") == [None]
    assert len(shown.texts("[role=option]")) == len(CODE)
    assert shown.attributes("[role=option]", "aria-label")[5] == "⏎␣␣␣, accepted draft"
    focus = "(node) => { node.focus(); return document.activeElement.textContent; }"
    assert shown(f"() => ({focus})([...document.querySelectorAll('[role=option]')][4])") == "():"
    key = "(key) => { document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); }"
    shown(key, "ArrowRight")
    shown(key, "ArrowRight")
    assert shown("() => document.activeElement.textContent") == " return", "its rest is no stop of its own"
    shown.act(".is-rest", "mouseover")
    assert shown.texts(".sv-card-token") == ["⏎␣␣␣"]


def test_what_closes_changes_what_it_closes_and_nothing_else(scripts: Scripts) -> None:
    shown = of(scripts, ["one", " **", "two", " `", "x"], "accepted")
    assert shown.texts(".is-strong, .is-mono") == []
    shown(
        """(steps) => {
          window.known = [...document.querySelectorAll('.sv-token')];
          window.touched = new Set();
          const watch = new MutationObserver((found) => found.forEach(({ target }) => touched.add(target)));
          watch.observe(view.node, { childList: true, subtree: true });
          view.append(steps);
        }""",
        [step(9, token("`"))],
    )
    assert shown.texts(".is-mono") == ["`", "x", "`"]
    assert shown(
        "() => known.map((node) => [node.isConnected, [...touched].some((other) => node.contains(other))])"
    ) == [[True, False], [True, False], [True, False], [True, True], [True, True]]
    shown("(steps) => view.append(steps)", [step(10, token("**", "bonus"), token(" end", "plain"))])
    assert "".join(shown.texts(".is-strong")) == "**two `x`**"
    assert shown.texts(".sv-paragraph") == ["one **two `x`** end"]


def test_plain_text_or_markdown_is_one_choice_that_is_kept(scripts: Scripts) -> None:
    shown = of(scripts, ["# Big\n", "**bold** `code`\n", "```\n", "code"], "plain")
    switch, other = scripts.load(*SWITCH), scripts.load(*SWITCH)
    for each in (switch, other):
        each("() => element.appendChild(makeMarkdownSwitch())")
    looks = [".is-heading", ".is-strong:not(.is-sign)", ".is-mono", ".is-code"]
    assert [shown(STYLES, name)[0] for name in looks] == [["650", False], ["700", False], ["400", True], ["400", True]]
    switch.act(".sv-markdown", "click")
    plain = [shown(STYLES, name)[0] for name in looks]
    assert plain == [["400", False]] * 3 + [["400", True]], "code in a fence is code in any case"
    assert other.attributes(".sv-markdown", "aria-pressed") == ["false"], "every switch follows"
    assert switch("isPlainKept") is True
    switch(
        "() => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'm', bubbles: true, cancelable: true }))"
    )
    assert switch.attributes(".sv-markdown", "aria-pressed") == ["true"], "one press, however many switches"
    assert shown(STYLES, ".is-heading")[0][0] == "650"


HOSTILE = [
    "# <img src=x onerror=window.hit=1>\n",
    "[x](javascript:window.hit=1) <a href='javascript:window.hit=1'>x</a> **<b onclick=1>**\n",
    "- <https://evil.example/> ![i](//evil.example/x.png) \u202eevil\u202c\u2066\n",
    '```html"><script>window.hit=1</script>\n',
    "<script>window.hit=1</script>" + "x" * 5_000 + "\n",
    " " * 5_000 + "y\n",
]


def test_hostile_markdown_is_text(scripts: Scripts) -> None:
    shown = of(scripts, HOSTILE, "accepted", "correction")
    tags = "() => [...new Set([...view.node.querySelectorAll('*')].map((node) => node.tagName))].sort()"
    assert shown(tags) == ["DIV", "SPAN"]
    assert shown("() => window.hit") is None
    assert shown("() => document.documentElement.scrollWidth") <= 1200
    assert "".join(shown.texts(".sv-paragraph")).count("⟨U+202E⟩") == 1
    assert shown("() => document.querySelectorAll('.is-code')[1].style.getPropertyValue('--hang')") == "24"
