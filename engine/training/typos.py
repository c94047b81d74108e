"""Spoils clean text the way hurried writers do, so that repairing it can be learnt and measured.

Knows letters and a few grammar slips; every function takes a `random.Random`.
"""

from __future__ import annotations

import random
import re

WORD_SHARE = 0.16
"""Share of the words that are spoilt."""
NEIGHBOURS = {
    "a": "sqz", "b": "vgn", "c": "xvd", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht", "h": "gjy", "i": "uok",
    "j": "hku", "k": "jli", "l": "kop", "m": "nj", "n": "bmh", "o": "ipl", "p": "ol", "q": "wa", "r": "etf",
    "s": "adw", "t": "ryg", "u": "yij", "v": "cbf", "w": "qes", "x": "zcs", "y": "tuh", "z": "xa",
}  # fmt: skip
SLIPS = {
    "was": "were", "were": "was", "is": "are", "are": "is", "has": "have", "went": "goed", "saw": "seed",
    "found": "finded", "ran": "runned", "their": "there", "an": "a", "said": "sayed", "did": "done",
    "gave": "gived", "took": "taked", "thought": "thinked", "felt": "feeled", "made": "maked", "too": "to",
}  # fmt: skip


def spoil(text: str, rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """The text with mistakes in it, and each spoilt word beside the right one."""
    pairs: list[tuple[str, str]] = []

    def maybe(match: re.Match[str]) -> str:
        word = match[0]
        bad = spoil_word(word, rng) if rng.random() < WORD_SHARE else word
        if bad != word:
            pairs.append((bad, word))
        return bad

    return re.sub(r"[A-Za-z]+", maybe, text), pairs


def spoil_word(word: str, rng: random.Random) -> str:
    """One slip of grammar or of the fingers; short words may stay as they are."""
    if word in SLIPS and rng.random() < 0.7:
        return SLIPS[word]
    if word[0].isupper() and rng.random() < 0.3:
        return word.lower()
    if len(word) < 4:
        return word
    place = rng.randrange(1, len(word) - 1)
    return rng.choice((_swapped, _dropped, _doubled, _mistyped))(word, place, rng)


def _swapped(word: str, place: int, rng: random.Random) -> str:
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _dropped(word: str, place: int, rng: random.Random) -> str:
    return word[:place] + word[place + 1 :]


def _doubled(word: str, place: int, rng: random.Random) -> str:
    return word[: place + 1] + word[place:]


def _mistyped(word: str, place: int, rng: random.Random) -> str:
    return word[:place] + rng.choice(NEIGHBOURS[word[place].lower()]) + word[place + 1 :]
