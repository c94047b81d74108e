"""The page's one chart component: numbers in, drawn by assets/js/plot.js with the server's own plotly.js.

A figure is a plain dict of numbers from `specviz.figures`, sent as `to_wire(figure)`:

- `kind`: "lines", "bars", "stacked" or "points", with `series`; or "heat", with `rows`, `columns` and `values`.
- `title`, `caption`: sentences. `terms`: of the glossary, behind a `?`.
- `x`, `y`: `{title, unit, range, log, zero, categories}`, each key optional.
- `series`: `[{name, x, y}]`, each with optional `method` (its colour, dash and marker) or `role` (a phase or state of
  the palette), `labels` (what hover and screen reader say), `texts` (drawn beside points), `low` and `high` (interval),
  `keys` (what a picked point reports), `shape` ("hv" for steps).
  Points may be hollow (`isOpen`) and say where their texts stand (`place`), bars may be hatched (`isHatched`), and a
  series may be of another `kind` than its figure, such as a line.
- `methods`: all methods in the order of their colours, where several charts are to agree.
- `marks`: reference lines, `[{y or x, text}]`. `markers`: false for lines of many points.
- `heat` takes `middle` (the neutral value), `texts` and `labels`.
- `table`: `{head, rows}` in place of the table made from the series. `revision`: a new one resets the visitor's zoom.

Texts are shown as written, whoever wrote them.
"""

from __future__ import annotations

import gradio as gr

from specviz.pages.drawn import drawn


def make_plot(elem_id: str, *, height: int = 260, filename: str = "specviz") -> gr.HTML:
    """An empty chart. Its value is a figure as JSON text; its event `pick` has `series`, `index` and `key`."""
    return drawn(elem_id, "plotview", known={"FILENAME": filename, "HEIGHT": height})
