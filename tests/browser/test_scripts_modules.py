"""The browser's own loader reads every module by itself; functions alone are tested without anything drawn."""

from __future__ import annotations

from specviz.pages import scripts as modules
from tests.browser.scripts_page import Scripts


def test_the_browser_imports_every_module(scripts: Scripts) -> None:
    for name in modules.served():
        found = scripts.imported(name)
        assert found, f"{name} exports something"
        assert ("default" in found) == bool(modules.mount(name)), name


def test_functions_are_called_without_a_page_around_them(scripts: Scripts) -> None:
    until = "({ stepsUntil }, ...given) => stepsUntil(...given)"
    assert [scripts.imported("timeline", until, [{"at": 1}, {"at": 2}], ms) for ms in (0.5, 1, 5)] == [0, 1, 2]


def test_a_module_is_one_for_whoever_imports_it(scripts: Scripts) -> None:
    same = "async (module, address) => module.note === (await import(address)).note"
    assert scripts.imported("address", same, "/" + modules.address("address")) is True
