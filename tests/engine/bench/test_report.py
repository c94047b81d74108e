"""The arithmetic of a bench's figures."""

from __future__ import annotations

import json
import statistics
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import bench
from engine.bench import markdown, report
from engine.bench.runner import Plan
from engine.drafters.costs import RowCost
from engine.suites import Question
from tests.engine.bench.cells import CONFIG, SETTINGS, CountingPeer, cell, plan


def test_speedup_is_paired_and_spec_benchs_is_a_ratio_of_means() -> None:
    plain = [cell("plain", 1.0, 10, prompt_index=i, target_passes=10) for i in range(3)]
    ours = [cell("lookup", s, 20, prompt_index=i, target_passes=8) for i, s in enumerate((1.0, 0.5, 2.0))]
    theirs = [cell("generate", 2.0, 10, prompt_index=i, is_same_text=i > 0) for i in range(3)]
    found = {row.method: row for row in report.to_rows([*ours, *plain, *theirs])}
    row = found["lookup"]
    assert row.speedup == 2.0  # ratios 2, 4 and 1
    assert row.spec_bench_speedup == pytest.approx((20 + 40 + 10) / 3 / 10)
    assert row.spec_bench_speedup_over_generate == pytest.approx((20 + 40 + 10) / 3 / 5)
    assert row.block_efficiency == 60 / 24
    assert row.speedup_per_block_efficiency == 2.0 / 2.5
    assert found["plain"].speedup == found["plain"].spec_bench_speedup == found["plain"].block_efficiency == 1.0
    assert (found["generate"].block_efficiency, found["generate"].same_text) == (None, "2/3")
    alone = next(row for row in report.to_rows([*ours, *plain]) if row.method == "lookup")
    assert alone.spec_bench_speedup_over_generate is None


def test_repeats_are_paired_with_the_plain_run_of_their_round() -> None:
    """Machines change from round to round: 1 s and 4 s against 0.5 s and 2 s is twice as fast, both times."""
    cells = [cell("plain", seconds, repeat=i) for i, seconds in enumerate((1.0, 4.0))]
    cells += [cell("fast", seconds, repeat=i) for i, seconds in enumerate((0.5, 2.0))]
    assert {row.method: row.speedup for row in report.to_rows(cells)} == {"plain": 1.0, "fast": 2.0}


def test_the_time_inside_the_steps_is_shared_out() -> None:
    times = {"draft_ms": 1.0, "target_ms": 2.0, "host_ms": 1.0}
    cells = [cell("plain", 1.0, prompt_index=i) for i in range(2)]
    cells += [cell("fast", 1.0, prompt_index=i, **times) for i in range(2)]
    plain, fast = report.to_rows(cells)
    assert (fast.draft_share, fast.target_share, fast.host_share) == (0.25, 0.5, 0.25)
    assert (plain.draft_share, plain.target_share, plain.host_share) == (None, None, None)


def test_the_interval_is_of_95_percent() -> None:
    assert report.interval([float(ratio) for ratio in range(1, 21)]) == (6.5, 14.5)


def test_repeats_of_a_prompt_are_one_prompt() -> None:
    cells = [cell("plain", 1.0, repeat=i) for i in range(3)]
    cells += [cell("fast", seconds, repeat=i) for i, seconds in enumerate((1.0, 0.5, 0.25))]
    row = next(row for row in report.to_rows(cells) if row.method == "fast")
    assert (row.num_prompts, row.num_runs, row.speedup) == (1, 3, 2.0)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20))
def test_the_interval_encloses_the_median_and_needs_six_prompts(ratios: list[float]) -> None:
    low, high = report.interval(ratios)
    if low is None or high is None:
        assert len(ratios) < 6
    else:
        assert min(ratios) <= low <= statistics.median(ratios) <= high <= max(ratios)
        assert len(ratios) >= 6


def test_a_suite_with_categories_has_a_row_for_each_and_for_the_whole() -> None:
    places = [("s", "rag"), ("s", "qa"), ("s", "qa"), ("t", "only")]
    cells = [
        cell(method, seconds, suite=suite, category=category, prompt_index=i)
        for i, (suite, category) in enumerate(places)
        for method, seconds in (("plain", 1.0), ("fast", 0.5))
    ]
    found = report.to_rows(reversed(cells))
    assert [(row.suite, row.category, row.method) for row in found] == [
        *(("s", c, m) for c in ("", "rag", "qa") for m in ("fast", "plain")),
        *(("t", "", m) for m in ("fast", "plain")),
    ]
    assert [row.num_prompts for row in found if row.method == "fast"] == [3, 1, 2, 1]


def full_report(**changes: Any) -> dict[str, Any]:
    """A report over two categories, as JSON reads it."""
    machine = {"processor": "Abacus", "num_threads": 2, "instructions": "beads", "torch": "2", "transformers": "5"}
    settings = {"model": "toy", "dtype": "float32", "device": "cpu", "machine": machine, "commit": "abc"}
    config = {"temperature": 0.0, "max_new_tokens": 6}
    cells = [
        cell(m, s, category=c, prompt_index=i, target_passes=p)
        for i, c in enumerate(("rag", "qa"))
        for m, s, p in (("plain", 1.0, 10), ("fast", 0.5, 4), ("generate", 2.0, None))
    ]
    asked = Plan({"fast": {}}, [Question("s", ("x",))] * 2, CONFIG, peers=[CountingPeer("generate")])
    costs = [RowCost(1, 4.0, 1.0), RowCost(8, 6.0, 1.5)]
    found = bench.summarise(cells, {**settings, "config": config}, asked, (256, costs), "python -m engine bench")
    return cast(dict[str, Any], json.loads(json.dumps({**found.to_dict(), **changes})))


def test_markdown_carries_what_the_figures_have_to_be_read_with() -> None:
    text = bench.to_markdown(full_report())
    for said in ("Abacus (2 threads, beads)", "float32", "`toy`", "torch 2", "commit abc", "at most 6 tokens"):
        assert said in text
    assert "| s | `fast` | 20 | 2.00× | 2.50 | 0.80 | – | 2/2 |" in text
    assert "at 256 tokens of context: 1 → 4 ms (1.00×), 8 → 6 ms (1.50×)." in text
    assert "| method | rag | qa | #mean accepted tokens | overall | overall over `generate` |" in text
    assert "| `fast` | 2.00 / 2.00 | 2.00 / 2.00 | 2.50 | 2.00 / 2.00 | 4.00× |" in text
    assert "1024 new tokens" in text
    assert "Interrupted" not in text
    assert "Interrupted" in bench.to_markdown(full_report(is_complete=False))


def test_what_was_drawn_is_said_above_temperature_0_only() -> None:
    greedy = {"temperature": 0.0, "max_new_tokens": 6, "top_k": 5, "rule": "auto", "seed": 3}
    assert ", temperature 0, at most 6 tokens," in markdown.head(full_report(config=greedy))
    sampled = markdown.head(full_report(config={**greedy, "temperature": 0.8}))
    assert ", temperature 0.8, top_k 5, rule auto, seed 3, at most 6 tokens," in sampled
    old = {"temperature": 0.5, "max_new_tokens": 6}
    assert ", temperature 0.5, rule auto, seed 0," in markdown.head(full_report(config=old))


def test_a_table_by_category_has_a_line_per_method_the_quickest_first() -> None:
    rows = full_report()["rows"]
    alone = [{**row, "suite": "humaneval"} for row in rows if not row["category"] and row["method"] != "generate"]
    assert markdown.by_category([*rows, *alone]).splitlines() == [
        "| method | rag | qa | humaneval | same text |",
        "| --- | --- | --- | --- | --- |",
        "| `fast` | 2.00×, 2.50 | 2.00×, 2.50 | 2.00×, 2.50 | 4/4 |",
        "| `plain` | 10 tokens/s | 10 tokens/s | 10 tokens/s | 4/4 |",
        "| `generate` | 0.50× | 0.50× | – | 2/2 |",
    ]
    wide = {**rows[0], "category": "", "suite": "t", "speedup_low": 1.5, "speedup_high": 3.0}
    assert "2.00× [1.50, 3.00], 2.50" in markdown.by_category([wide])


def test_every_figure_of_a_row_is_defined() -> None:
    said = " ".join(report.DEFINITIONS) + " " + " ".join(report.DEFINITIONS.values())
    plain_words = {"suite", "category", "method", "num_prompts", "num_runs"}
    assert [name for name in full_report()["rows"][0] if name not in plain_words and name not in said] == []


def test_rounds_that_were_broken_off_do_not_count() -> None:
    asked = plan("a", "b")
    cells = [cell("plain", 1.0), cell("prompt_lookup", 0.5), cell("prompt_lookup", 0.1, prompt_index=1)]
    found = bench.summarise(cells, SETTINGS, asked, (0, []))
    assert not found.is_complete
    assert {row.method: row.speedup for row in found.rows} == {"plain": 1.0, "prompt_lookup": 2.0}
