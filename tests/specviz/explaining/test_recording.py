"""The recorded run of the tour."""

from __future__ import annotations

from engine.events import Stepped
from specviz.explaining import recording
from specviz.showing.trace import trace


def test_the_recording_shows_what_the_tour_tells() -> None:
    """A full acceptance, then a correction behind an accepted token, then a bonus again."""
    ends = [event.emitted[-1].origin for event in recording.events() if isinstance(event, Stepped)]
    paths = [len(event.path) for event in recording.events() if isinstance(event, Stepped)]
    corrected = next(i for i, end in enumerate(ends) if end == "correction" and paths[i] > 0)
    assert "bonus" in ends[:corrected]
    assert "bonus" in ends[corrected:]
    assert trace(recording.events())["run"]["model"] == "story"
