"""Times of day as they are kept and shown: always UTC, whatever zone a file gives them in."""

from __future__ import annotations

from datetime import UTC, datetime

SECONDS, MINUTES = 19, 16
"""Characters of an ISO 8601 time, to the second and to the minute."""


def as_utc(given: str) -> str:
    """The same moment in UTC, ISO 8601, so that texts compare as times do; what is no moment stays as it is.

    A time without a zone is no moment, nor is one that has no place in the UTC calendar.
    """
    return parsed(given) or given


def parsed(given: str) -> str:
    """As `as_utc`; empty for what is no moment."""
    try:
        time = datetime.fromisoformat(given)
        return "" if time.utcoffset() is None else time.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return ""


def day_and_time(given: str, num_chars: int = SECONDS) -> str:
    """As lists show it whose head names the zone: `2026-01-31 14:30:00`, UTC."""
    return as_utc(given)[:num_chars].replace("T", " ")


def moment(given: str, num_chars: int = SECONDS) -> str:
    """As it stands alone: `2026-01-31 14:30:00 UTC`."""
    return f"{day_and_time(given, num_chars)} UTC"
