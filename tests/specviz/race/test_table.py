"""The rows of a race to take away: Markdown, CSV, LaTeX."""

from __future__ import annotations

from racing import row

from specviz.race import table


def test_markdown_has_a_row_a_lane_and_escapes_what_would_be_markup() -> None:
    text = table.to_markdown([row(), row("<b>|*x*`")])
    head, rule, first, second = text.splitlines()
    assert head.startswith("| Method | Ran as | Tokens | Time (s) |")
    assert rule.startswith("| --- | ---: |")
    assert "| 1.92 |" in first
    assert second.startswith(r"| &lt;b&gt;\|\*x\*\` |")
    assert len({line.replace(r"\|", "").count("|") for line in (head, rule, first, second)}) == 1


def test_csv_has_figures_in_full_and_no_formulas() -> None:
    head, first, second = table.to_csv([row('a "quoted", label'), row("=1+1")]).splitlines()
    assert head.split(",")[0] == "Method"
    assert first.startswith('"a ""quoted"", label",2,64,0.5125,124.9,1.918,')
    assert second.startswith("'=1+1,")


def test_latex_escapes_its_own_signs() -> None:
    text = table.to_latex([row(r"50% & $x_1$ \input{a} ~^#")])
    assert r"50\% \& \$x\_1\$ \textbackslash{}input\{a\} \textasciitilde{}\textasciicircum{}\#" in text
    assert text.startswith(r"\begin{tabular}{lrrrrrrrrrrrl}")


def test_a_lane_without_figures_has_dashes() -> None:
    cells = table.cells(row(speedup=None, tokens_per_second=None, problem="It broke."))
    assert cells[4:6] == ["–", "–"]
    assert cells[-1] == "It broke."
