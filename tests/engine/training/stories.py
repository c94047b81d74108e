"""Stories of one kind, enough of them to train on."""

from __future__ import annotations

PLACES = ("park", "forest", "garden", "beach", "farm", "lake")
NAMES = ("Tim", "Lily", "Ben", "Mia", "Tom", "Anna")


def story(number: int) -> str:
    name, place = NAMES[number % 6], PLACES[number // 6 % 6]
    return (
        f"Once upon a time there was a small fox named {name}. {name} went to the {place} with ball number {number}. "
        f"One day {name} found a friend. They played all day. {name} learned that sharing makes everyone happy."
    )


STORIES = [story(number) for number in range(120)]
