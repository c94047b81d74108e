"""Figures over figures as one SVG drawing, for model cards: a run's losses above all. Knows numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, MARGIN = 720, 300, 48
COLOURS = ("#9aa5b1", "#1f6feb", "#d1662c", "#2c8f4f", "#8250df")
LOSSES = {"train_loss": "training (one batch), nats a token", "heldout_loss": "held-out, nats a token"}
Point = tuple[float, float]


def draw(rows: Sequence[dict[str, Any]]) -> str:
    """Loss in nats a token over millions of tokens; `rows` are those of loss.jsonl. Empty for no losses."""
    series = {label: [(r["num_tokens"] / 1e6, r[name]) for r in rows if name in r] for name, label in LOSSES.items()}
    return draw_lines(series, "Loss over training tokens", "{:.1f} M", "{:.2f}", left=0.0)


def draw_lines(
    series: Mapping[str, Sequence[Point]], title: str, x_format: str, y_format: str, left: float | None = None
) -> str:
    """One line a name; axes from `left`, or the least x, and the least y. Empty for no points."""
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    left = min(x for x, _ in points) if left is None else left
    right = max(max(x for x, _ in points), left + 1e-9) if any(x > left for x, _ in points) else left + 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    top = max(high, low + 0.1)

    def place(point: Point) -> Point:
        x = MARGIN + (point[0] - left) / (right - left) * (WIDTH - 2 * MARGIN)
        return x, HEIGHT - MARGIN - (point[1] - low) / (top - low) * (HEIGHT - 2 * MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{title}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *(_tick(place((left, y)), y_format.format(y), is_left=True) for y in _steps(low, top)),
        *(_tick(place((x, low)), x_format.format(x), is_left=False) for x in _steps(left, right)),
    ]
    for row, (name, line) in enumerate(series.items()):
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, line))
        colour = COLOURS[row % len(COLOURS)]
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{WIDTH - 230}" y="{20 + 16 * row}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _steps(low: float, high: float, num: int = 5) -> list[float]:
    return [low + (high - low) * i / (num - 1) for i in range(num)] if math.isfinite(high - low) else []


def _tick(place: Point, label: str, *, is_left: bool) -> str:
    x, y = (place[0] - 6, place[1] + 4) if is_left else (place[0], place[1] + 18)
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#444" text-anchor="{"end" if is_left else "middle"}">{label}</text>'
