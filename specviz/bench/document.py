"""A report as a text to keep or send on: Markdown, one HTML page of its own, or JSON.

The page asks nobody for anything and holds no script. Texts of the report (model, suites, methods, command) are
escaped: a name may be anybody's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from engine.bench import markdown
from engine.bench.report import DEFINITIONS
from engine.errors import UnknownName
from specviz.figures import bench as figures

KINDS = ("md", "html", "json")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #16202b; background: #fbfaf7; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; font-size: 0.9em; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; border-bottom: 1px solid #dcdad3; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; margin: 1em 0 2em; }
dt { font-weight: 600; } dd { margin: 0 0 0.6em; color: #55606e; }
"""  # noqa: E501
_COLUMNS = {
    "tokens_per_second": "Tokens/s",
    "speedup": "Speedup",
    "block_efficiency": "Block efficiency",
    "expected_speedup": "Expected speedup",
    "relative_pass_cost": "Relative pass cost",
    "relative_draft_cost": "Relative draft cost",
    "same_text": "Same text",
}


def write(report: Mapping[str, Any], kind: str) -> str:
    """The whole report, as opened by `Shelf.open`. Raises UnknownName for another kind than KINDS."""
    if kind == "md":
        return markdown.to_markdown(report)
    if kind == "html":
        return to_html(report)
    if kind == "json":
        return json.dumps({name: value for name, value in report.items() if name != "overall"}, indent=1)
    raise UnknownName("kind of report", kind, KINDS)


def to_html(report: Mapping[str, Any]) -> str:
    """One page: what was measured, the heat map as a table, every figure by suite, definitions."""
    parts = ["<h1>SpecViz benchmark</h1>"]
    if not report["is_complete"]:
        parts.append("<p><strong>Interrupted: only the rounds that were finished are counted.</strong></p>")
    parts += [_paragraph(markdown.head(report)), "<h2>Speedup over plain decoding</h2>", _heat(figures.heat(report))]
    for suite in figures.suites(report):
        parts += [f"<h2>{_text(suite)}</h2>", _rows(figures.rows_of(report, suite))]
    parts += map(_paragraph, [markdown.row_cost_line(report["row_cost"]), *markdown.skipped_lines(report["skipped"])])
    parts += map(_paragraph, report.get("caveats", []))
    parts += ["<h2>Definitions</h2>", _definitions()]
    body = "\n".join(parts)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>SpecViz benchmark</title>'
    head += f"<style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _heat(figure: Mapping[str, Any]) -> str:
    reach = max([0.5, *(abs(value) for line in figure["values"] for value in line if value is not None)])
    lines = [
        [_cell(name), *(_cell(text, _shade(value, reach)) for text, value in zip(texts, values, strict=True))]
        for name, texts, values in zip(figure["rows"], figure["texts"], figure["values"], strict=True)
    ]
    return _table(["", *figure["columns"]], lines)


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [[_cell(row["method"]), *(_cell(_figure(row, name)) for name in _COLUMNS)] for row in rows]
    return _table(["Method", *_COLUMNS.values()], lines)


def _figure(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if name == "speedup":
        return figures.speedup_text(row, has_interval=True)
    return "–" if value is None else str(value) if isinstance(value, str) else f"{value:.2f}"


def _definitions() -> str:
    terms = [f"<dt>{title}</dt><dd>{_text(DEFINITIONS[name])}</dd>" for name, title in _COLUMNS.items()]
    return f"<dl>{''.join(terms)}</dl>"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in lines)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _shade(value: float | None, reach: float) -> str:
    """Blue for faster, orange for slower, nothing at 1: as on the page."""
    if value is None:
        return ""
    colour = "109, 179, 221" if value >= 0 else "240, 163, 107"
    return f"background: rgba({colour}, {min(1.0, abs(value) / reach):.2f})"


def _cell(text: str, style: str = "") -> str:
    return f'<td style="{style}">{_text(text)}</td>' if style else f"<td>{_text(text)}</td>"


def _paragraph(text: str) -> str:
    return f"<p>{_text(text.replace('`', ''))}</p>"


def _text(text: object) -> str:
    return escape(str(text))
