"""SpecViz: watch, compare and keep speculative-decoding sessions."""

from pathlib import Path

ASSETS = Path(__file__).resolve().parents[1] / "assets"
"""Scripts, styles, prompts, models and the recorded example."""
