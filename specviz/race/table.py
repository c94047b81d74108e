"""The rows of a race as a table to look at and to take away: Markdown, CSV, LaTeX.

Labels hold what visitors typed: each format escapes them in its own way.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from specviz.figures.row import Row
from specviz.showing.origin import CLAIMED
from specviz.text import harmless

Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """One figure of every row."""

    key: str
    heading: str
    unit: str
    decimals: int | None
    """None for words."""
    term: str
    """Of the glossary."""
    value: Callable[[Row], Value]


def _part(name: str) -> Callable[[Row], Value]:
    return lambda row: getattr(row.time_per_token, name) if row.time_per_token else None


def _percent(row: Row) -> Value:
    return None if row.acceptance_rate is None else 100 * row.acceptance_rate


def _verdict(row: Row) -> Value:
    if row.problem or row.is_plain:
        return row.problem or "baseline"
    found = row.verdict if row.verdict == "identical" else row.verdict_text or "not audited"
    return f"{CLAIMED}: {found}" if row.is_claim and row.verdict else found


_SPLIT = "time-per-token-ms"
COLUMNS = (
    Column("label", "Method", "", None, "method", lambda row: row.label),
    Column("turn", "Ran as", "", 0, "lane", lambda row: row.turn),
    Column("emitted", "Tokens", "", 0, "emitted-tokens", lambda row: row.emitted),
    Column("seconds", "Time", "s", 2, "decode-ms", lambda row: row.decode_ms / 1e3),
    Column("speed", "Speed", "tok/s", 1, "tokens-per-second", lambda row: row.tokens_per_second),
    Column("speedup", "Speedup", "×", 2, "speedup", lambda row: row.speedup),
    Column("efficiency", "Block eff.", "tok/pass", 2, "block-efficiency", lambda row: row.block_efficiency),
    Column("acceptance", "Accepted", "%", 0, "acceptance-rate", _percent),
    Column("wasted", "Wasted", "/tok", 2, "wasted-drafts-per-token", lambda row: row.wasted_drafts_per_token),
    Column("draft", "Draft", "ms/tok", 2, _SPLIT, _part("draft_ms")),
    Column("target", "Target", "ms/tok", 2, _SPLIT, _part("target_ms")),
    Column("host", "Host", "ms/tok", 2, _SPLIT, _part("host_ms")),
    Column("verdict", "Same text?", "", None, "audit", _verdict),
)


def cells(row: Row) -> list[str]:
    """One text for each column; a dash where there is no figure."""
    return [_shown(column, column.value(row)) for column in COLUMNS]


def heading(column: Column) -> str:
    """With its unit."""
    return f"{column.heading} ({column.unit})" if column.unit else column.heading


def to_markdown(rows: Sequence[Row]) -> str:
    """A pipe table; figures are right-aligned."""
    lines = [[heading(column) for column in COLUMNS]]
    lines.append(["---" if column.decimals is None else "---:" for column in COLUMNS])
    lines += [[_escaped_markdown(cell) for cell in cells(row)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(rows: Sequence[Row]) -> str:
    """RFC 4180, figures in full; no cell can be taken for a formula."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([heading(column) for column in COLUMNS])
    for row in rows:
        writer.writerow([harmless(column.value(row)) for column in COLUMNS])
    return file.getvalue()


def to_latex(rows: Sequence[Row]) -> str:
    """A booktabs tabular."""
    layout = "".join("l" if column.decimals is None else "r" for column in COLUMNS)
    lines = [[heading(column) for column in COLUMNS], *(cells(row) for row in rows)]
    head, *body = (" & ".join(_escaped_latex(cell) for cell in line) + r" \\" for line in lines)
    parts = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(parts) + "\n"


def _shown(column: Column, value: Value) -> str:
    if value is None:
        return "–"
    return f"{value:,.{column.decimals}f}" if isinstance(value, int | float) else value


def _escaped_markdown(text: str) -> str:
    """Nothing of it ends a cell, opens a tag or is emphasis, code or a link."""
    escaped = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "×": r"$\times$",
    "–": "--",
    "·": r"$\cdot$",
    "≠": r"$\neq$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _escaped_latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))
