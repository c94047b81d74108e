"""Suffix automata over token ids: the longest suffix of a text that occurred before, O(1) amortised.

A state stands for all substrings that end at the same places; `length` is the longest of them,
`link` leads to the longest suffix that ends at more places. Blumer et al. (1985), built online.
"""

from __future__ import annotations

from collections.abc import Iterable


class SuffixAutomaton:
    """All substrings of a text that grows at its end. State 0 is the empty string."""

    def __init__(self, *, tracks_last: bool = False, counts: bool = False) -> None:
        self.tokens: list[int] = []
        self.next: list[dict[int, int]] = [{}]
        self.link: list[int] = [-1]
        self.length: list[int] = [0]
        self.first_end: list[int] = [0]
        """Number of tokens up to the end of the state's first occurrence."""
        self.last_end: list[int] = [0]
        """The same of its latest occurrence; kept where `tracks_last`, at O(links) a token."""
        self.count: list[int] = [0]
        """Occurrences so far; kept where `counts`, likewise."""
        self._marks = tracks_last or counts
        self._whole = 0

    def extend(self, tokens: Iterable[int]) -> None:
        """Append tokens."""
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """Append one token."""
        self.tokens.append(token)
        new = self._add(self.length[self._whole] + 1, len(self.tokens))
        state = self._whole
        while state >= 0 and token not in self.next[state]:
            self.next[state][token] = new
            state = self.link[state]
        if state >= 0:
            found = self.next[state][token]
            fits = self.length[found] == self.length[state] + 1
            self.link[new] = found if fits else self._clone(state, found, token)
        self._whole = new
        if self._marks:
            self._mark(new)

    def occurrences(self) -> list[int]:
        """How often each state occurs in the text: places it ends at."""
        counts = [0] * len(self.next)
        state = 0
        for token in self.tokens:
            state = self.next[state][token]
            counts[state] = 1
        for state in sorted(range(1, len(counts)), key=self.length.__getitem__, reverse=True):
            counts[self.link[state]] += counts[state]
        return counts

    def _add(self, length: int, first_end: int) -> int:
        self.next.append({})
        self.link.append(0)
        self.length.append(length)
        self.first_end.append(first_end)
        self.last_end.append(first_end)
        self.count.append(0)
        return len(self.next) - 1

    def _clone(self, state: int, found: int, token: int) -> int:
        """Split off what of `found` is reached from `state`: it ends at the new place too."""
        clone = self._add(self.length[state] + 1, self.first_end[found])
        self.next[clone] = dict(self.next[found])
        self.count[clone] = self.count[found]
        self.link[clone], self.link[found] = self.link[found], clone
        while state >= 0 and self.next[state].get(token) == found:
            self.next[state][token] = clone
            state = self.link[state]
        return clone

    def _mark(self, state: int) -> None:
        while state > 0:
            self.last_end[state] = len(self.tokens)
            self.count[state] += 1
            state = self.link[state]


class Cursor:
    """The longest suffix of what was read that occurs in an automaton."""

    def __init__(self, automaton: SuffixAutomaton) -> None:
        self.automaton = automaton
        self.state = 0
        self.length = 0

    def advance(self, token: int) -> None:
        """Read a token."""
        automaton = self.automaton
        while self.state > 0 and token not in automaton.next[self.state]:
            self.state = automaton.link[self.state]
            self.length = automaton.length[self.state]
        if token in automaton.next[self.state]:
            self.state = automaton.next[self.state][token]
            self.length += 1
        else:
            self.state = self.length = 0

    def settle(self) -> None:
        """After the automaton grew: a clone may have taken over the matched string."""
        automaton = self.automaton
        while self.state > 0 and automaton.length[automaton.link[self.state]] >= self.length:
            self.state = automaton.link[self.state]
