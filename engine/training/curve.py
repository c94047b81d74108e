"""A training run's losses as one SVG drawing, for its model card. Knows rows of figures and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT, MARGIN = 720, 300, 48
COLOURS = {"train_loss": "#9aa5b1", "heldout_loss": "#1f6feb"}
NAMES = {"train_loss": "training (one batch)", "heldout_loss": "held-out"}
Point = tuple[float, float]


def draw(rows: Sequence[dict[str, Any]]) -> str:
    """Loss in nats a token over millions of tokens; `rows` are those of loss.jsonl. Empty for no losses."""
    series = {name: [(r["num_tokens"] / 1e6, r[name]) for r in rows if name in r] for name in COLOURS}
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    right = max(x for x, _ in points) or 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    top = max(high, low + 0.1)

    def place(point: Point) -> Point:
        x = MARGIN + point[0] / right * (WIDTH - 2 * MARGIN)
        return x, HEIGHT - MARGIN - (point[1] - low) / (top - low) * (HEIGHT - 2 * MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" role="img" aria-label="Loss over training tokens">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *(_tick(place((0, y)), f"{y:.2f}", is_left=True) for y in _steps(low, top)),
        *(_tick(place((x, low)), f"{x:.1f} M", is_left=False) for x in _steps(0, right)),
    ]
    for row, (name, line) in enumerate(series.items()):
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, line))
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        label = f"{NAMES[name]}, nats a token"
        parts.append(f'<text x="{WIDTH - 230}" y="{20 + 16 * row}" fill="{COLOURS[name]}">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _steps(low: float, high: float, num: int = 5) -> list[float]:
    return [low + (high - low) * i / (num - 1) for i in range(num)] if math.isfinite(high - low) else []


def _tick(place: Point, label: str, *, is_left: bool) -> str:
    x, y = (place[0] - 6, place[1] + 4) if is_left else (place[0], place[1] + 18)
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#444" text-anchor="{"end" if is_left else "middle"}">{label}</text>'
