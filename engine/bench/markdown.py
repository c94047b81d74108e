"""A report as Markdown. Reads the JSON form, so that committed reports are shown as fresh ones are."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

_SPEEDUP = (
    "Speedup: plain's wall-clock per token ÷ the method's, prefill included, same prompt, same process, order "
    "drawn anew for each prompt; median over prompts with its 95 % interval."
)


def to_markdown(report: Json) -> str:
    """The whole report: head, table, Spec-Bench's table for each suite with categories, what rows cost."""
    parts = [head(report), table(report["rows"], has_shares=True)]
    if not report["is_complete"]:
        parts.insert(0, "**Interrupted: only the rounds that were finished are counted.**")
    parts += [spec_bench_table(suite, report) for suite in _suites_with_categories(report["rows"])]
    parts += [row_cost_line(report["row_cost"]), *skipped_lines(report["skipped"])]
    parts += report.get("caveats", [])  # files of former versions have none
    return "\n\n".join(parts) + "\n"


def head(report: Json) -> str:
    """What the figures have to be read with."""
    machine, config = report["machine"], report["config"]
    return (
        f"Measured {report['created_at'][:10]} on {machine['processor']} ({machine['num_threads']} threads, "
        f"{machine['instructions']}), {report['device']}, {report['dtype']}, model `{report['model']}`, torch "
        f"{machine['torch']}, transformers {machine['transformers']}, {_sampling(config)}, at most "
        f"{config['max_new_tokens']} tokens, commit {report['commit']}. {_SPEEDUP}"
    )


def _sampling(config: Json) -> str:
    """Greedy decoding knows neither rule nor seed."""
    words = f"temperature {config['temperature']:g}"
    if config["temperature"] == 0:
        return words
    off = {"top_k": 0, "top_p": 1.0}
    cut = [f", {name} {config[name]:g}" for name, value in off.items() if config.get(name, value) != value]
    return f"{words}{''.join(cut)}, rule {config.get('rule', 'auto')}, seed {config.get('seed', 0)}"


def table(rows: Sequence[Json], *, has_shares: bool = False) -> str:
    """A row per suite and method."""
    columns = ["suite", "method", "tokens/s", "speedup over plain", "block efficiency"]
    columns += ["speedup ÷ efficiency", "draft / target / host"] * has_shares + ["same text"]
    return _lines(columns, [_cells(row, has_shares) for row in rows if not row.get("category")])


def by_category(rows: Sequence[Json]) -> str:
    """A line per method, the quickest first, a column per category of each suite or per suite without categories.

    A cell is the speedup with its interval and, behind the comma, the block efficiency; plain decoding's are its
    tokens per second.
    """
    whole = [row for row in rows if not row["category"]]
    has_categories = {row["suite"] for row in rows if row["category"]}
    found = {
        (row["method"], _column(row)): row for row in rows if row["category"] or row["suite"] not in has_categories
    }
    columns = list(dict.fromkeys(column for _, column in found))
    methods = list(dict.fromkeys(row["method"] for row in whole))
    speeds = {name: statistics.fmean(row["speedup"] for row in whole if row["method"] == name) for name in methods}
    lines = [
        [f"`{name}`", *(_speedup_cell(found.get((name, column))) for column in columns), _same_text(whole, name)]
        for name in sorted(methods, key=lambda name: -speeds[name])
    ]
    return _lines(["method", *columns, "same text"], lines)


def _column(row: Json) -> str:
    return str(row["category"] or row["suite"])


def _speedup_cell(row: Json | None) -> str:
    """Of a method that was not asked in this column, a dash."""
    if row is None:
        return "–"
    if row["method"] == "plain":
        return f"{row['tokens_per_second']:.0f} tokens/s"
    efficiency = row["block_efficiency"]
    return _interval(row) + ("" if efficiency is None else f", {efficiency:.2f}")


def _same_text(whole: Sequence[Json], method: str) -> str:
    """Over all suites."""
    counts = [row["same_text"].split("/") for row in whole if row["method"] == method]
    return "/".join(str(sum(map(int, column))) for column in zip(*counts, strict=True))


def spec_bench_table(suite: str, report: Json) -> str:
    """A line per method, a column per category: Spec-Bench's speedup / our paired one."""
    rows = [row for row in report["rows"] if row["suite"] == suite]
    categories = list(dict.fromkeys(row["category"] for row in rows if row["category"]))
    found = {(row["method"], row["category"]): row for row in rows}
    methods = [row["method"] for row in rows if not row["category"]]
    lines = [_spec_bench_cells(method, categories, found) for method in methods]
    columns = ["method", *categories, "#mean accepted tokens", "overall", "overall over `generate`"]
    return f"{suite}: {_SPEC_BENCH.format(**report['config'])}\n\n{_lines(columns, lines)}"


def _spec_bench_cells(method: str, categories: Sequence[str], found: Mapping[tuple[str, str], Json]) -> list[str]:
    whole = found[method, ""]
    return [
        f"`{method}`",
        *(_both(found[method, category]) if (method, category) in found else "–" for category in categories),
        _number(whole["block_efficiency"]),
        _both(whole),
        _times(whole["spec_bench_speedup_over_generate"]),
    ]


_SPEC_BENCH = (
    "Spec-Bench's speedup (mean over runs of tokens/s ÷ the same mean of the baseline) / our paired speedup, both over "
    "plain. Spec-Bench's own baseline is transformers' `generate`: last column. Its protocol asks for 1024 new tokens "
    "in float16; here at most {max_new_tokens}. #mean accepted tokens: emitted ÷ target passes."
)


def row_cost_line(row_cost: Json) -> str:
    """The row-cost curve in one sentence; nothing where a report has none."""
    if not row_cost["passes"]:
        return ""
    passes = [f"{p['num_rows']} → {p['ms']:.3g} ms ({p['ratio']:.2f}×)" for p in row_cost["passes"]]
    return f"A target pass by its rows, at {row_cost['num_context']} tokens of context: {', '.join(passes)}."


def skipped_lines(skipped: Sequence[Json]) -> list[str]:
    """A sentence on the questions that were left out, if any were."""
    if not skipped:
        return []
    parts = [f"{row['num_questions']} of {row['suite']} {row['category']}".strip() for row in skipped]
    return [f"Skipped, too long for the context: {', '.join(parts)}."]


def _suites_with_categories(rows: Sequence[Json]) -> list[str]:
    return list(dict.fromkeys(row["suite"] for row in rows if row["category"]))


def _cells(row: Json, has_shares: bool) -> list[str]:
    cells = [row["suite"], f"`{row['method']}`", f"{row['tokens_per_second']:.0f}", _interval(row)]
    cells.append(_number(row["block_efficiency"]))
    if has_shares:
        cells += [_number(row["speedup_per_block_efficiency"]), _shares(row)]
    return [*cells, row["same_text"]]


def _interval(row: Json) -> str:
    speedup = f"{row['speedup']:.2f}×"
    if row["speedup_low"] is None:
        return speedup
    return f"{speedup} [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"


def _shares(row: Json) -> str:
    shares = [row["draft_share"], row["target_share"], row["host_share"]]
    return "–" if None in shares else " / ".join(f"{share:.0%}" for share in shares)


def _both(row: Json) -> str:
    return f"{row['spec_bench_speedup']:.2f} / {row['speedup']:.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}×"


def _lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
