"""The check of a GPU as a page. Reads the JSON form, so that committed reports are shown as fresh ones are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.bench import markdown
from engine.models import memory

SYNTHETIC = (
    "Synthetic: weights are made up and the drafter is told the text, so that acceptance is known beforehand. The "
    "figures say what the engine makes of an acceptance, and nothing about any drafter or any model's text."
)


def to_markdown(report: Mapping[str, Any]) -> str:
    """The check as a page."""
    found = report["gpu_check"]
    lines = [
        f"| {s['size']} | {memory.in_gigabytes(s['weight_bytes'])} | {s['bound_tokens_per_second']:.0f} | "
        f"{s['plain_tokens_per_second']:.0f} | {s['share_of_bound']:.0%} | {s['eager_share_of_bound']:.0%} | "
        f"{s['step_ms']:.2f} | {s['host_ms']:.2f} | {_waits(s['waits_per_step'])} |"
        for s in found["sizes"]
    ]
    rows = [
        f"{s['size']}, {kind}: "
        + ", ".join(f"{cost['num_rows']} → {cost['ms']:.3g} ms ({cost['ratio']:.2f}×)" for cost in s[key])
        for s in found["sizes"]
        for kind, key in (("graphed", "row_costs"), ("eager", "eager_row_costs"))
    ]
    head = "| size | weights | bound, tokens/s | plain, tokens/s | of the bound | eager | step, ms | host, ms | waits |"
    parts = [
        f"**{SYNTHETIC}**",
        markdown.head(report),
        f"Bandwidth by copying: {found['bytes_per_second'] / 1e9:.0f} GB/s.",
        "\n".join([head, "| --- " * 9 + "|", *lines]),
        "Passes by their rows:\n\n" + "\n".join(f"- {line}" for line in rows),
        markdown.table(report["rows"], has_shares=True),
    ]
    return "\n\n".join(parts) + "\n"


def _waits(found: float | None) -> str:
    return "–" if found is None else f"{found:.1f}"
