"""Contrast by WCAG 2.2 (1.4.11: 3 to 1 for what is drawn); colour vision by Machado et al. 2009, severity 1."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from specviz.pages import files

THEMES = ("light", "dark")
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
PALETTE = files.palette()
METHODS = [PALETTE["plain"], *PALETTE["methods"]]


def linear(colour: str) -> Any:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    lights = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (first, second))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def lab(colour: str, vision: str) -> Any:
    seen = np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)
    xyz = TO_XYZ @ seen / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first: str, second: str, vision: str) -> float:
    """CIE 1976 difference."""
    return float(np.linalg.norm(lab(first, vision) - lab(second, vision)))


def test_the_measures_measure() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    red, green = "#d62728", "#2ca02c"
    assert distance(red, green, "deutan") < 40 < distance(red, green, "normal")


@pytest.mark.parametrize("theme", THEMES)
def test_every_drawn_colour_stands_out_from_its_ground(theme: str) -> None:
    states = [state for name, state in PALETTE["states"].items() if name != "bonus"]
    for ground in ("paper", "sheet"):
        for colour in (*METHODS, *states):
            assert contrast(colour[theme], PALETTE["page"][ground][theme]) >= 3, colour


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("vision", VISION)
def test_methods_are_told_apart_by_colour_alone(theme: str, vision: str) -> None:
    for first, second in itertools.combinations(METHODS, 2):
        assert distance(first[theme], second[theme], vision) > 20, (first, second)


def test_methods_are_told_apart_without_colour() -> None:
    assert len({method["dash"] for method in METHODS}) == len(METHODS)
    assert len({method["marker"] for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("vision", VISION)
def test_states_are_told_apart_by_colour_or_by_shape(theme: str, vision: str) -> None:
    """Accepted and rejected by colour alone too: they are what every picture is about."""
    states = PALETTE["states"]
    for first, second in itertools.combinations(states, 2):
        if {first, second} != {"correction", "plain"}:
            assert states[first]["shape"] != states[second]["shape"]
    assert distance(states["accepted"][theme], states["rejected"][theme], vision) > 60


def test_the_style_sheet_has_the_same_colours() -> None:
    light, dark = re.findall(r"(?:^:root|^\.dark) \{\n(.*?)^\}", files.styles(), re.MULTILINE | re.DOTALL)[:2]
    names = {f"--sv-{name}": entry for name, entry in (PALETTE["states"] | PALETTE["page"]).items()}
    names |= {f"--sv-{name}-bar": entry for name, entry in PALETTE["phases"].items()}
    for theme, block in (("light", light), ("dark", dark)):
        declared = dict(re.findall(r"(--sv-[\w-]+): (#\w{6});", block))
        shared = names.keys() & declared.keys()
        assert len(shared) >= 10
        assert {name: names[name][theme] for name in shared} == {name: declared[name] for name in shared}
