"""A corpus's automaton with how often each of its substrings occurs: read-only, shared by all sessions of a process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.drafters import corpus
from engine.drafters.copying._automaton import SuffixAutomaton
from engine.errors import BadInput
from engine.facts import TargetFacts
from engine.models import weights_folder
from engine.options import option

NO_CORPUS, OWN_CORPUS, CORPUS_FILE = "none", "auto", "corpus.npz"
OWNER = "sam_decoding"
"""Whose folder of the target's weights holds its own corpus."""
BRANCHING = 8


class StaticAutomaton:
    """A corpus with its substrings' counts."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.automaton = SuffixAutomaton()
        self.automaton.extend(tokens)
        self.counts = self.automaton.occurrences()

    def successors(self, state: int) -> list[tuple[float, int, int]]:
        """(share, token, state) of the likeliest tokens that follow a state; the shares sum to 1 at most."""
        counts, following = self.counts, self.automaton.next[state]
        ranked = sorted((-counts[child], token, child) for token, child in following.items())[:BRANCHING]
        return [(-count / counts[state], token, child) for count, token, child in ranked]


def corpus_option() -> Any:
    """The option `corpus` of a drafter that matches one too."""
    return option(
        NO_CORPUS,
        "Text to match too: a text file, an .npz file of ids, auto (the target's), or none.",
        kind="file",
        words=(NO_CORPUS, OWN_CORPUS),
    )


def corpus_automaton(given: str, model: TargetFacts) -> StaticAutomaton | None:
    """What the option names, built once for all sessions; None for none. Raises BadInput."""
    file = _file(given, model)
    if file is None:
        return None
    path = Path(file).expanduser()
    key = ("static automaton", file, path.stat().st_mtime_ns if path.is_file() else 0)
    return model.keep(key, lambda: StaticAutomaton(corpus.load(file, model)))


def _file(given: str, model: TargetFacts) -> str | None:
    """None for none. Raises BadInput where the target has no corpus of its own."""
    if given != OWN_CORPUS:
        return None if given == NO_CORPUS else given
    folder = weights_folder(model, OWNER)
    if folder is None:
        raise BadInput(f"There is no corpus for {model.name}; name a text file, or none, with the option corpus.")
    return str(folder / CORPUS_FILE)
