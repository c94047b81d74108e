"""What runs before anything is measured: first calls allocate, choose kernels and compile loops.

A target's passes once for each loaded model, a method's drafts once for each set of its options and kind of decoding;
in sessions that nobody sees.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace

from engine import drafters
from engine.config import GenerationConfig
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree

PROMPT = "Write a short story about a cat."
NUM_TOKENS = 12
_FORK = DraftTree((0, 1), (-1, -1))


def warm_up(target: Target, num_passes: int = 3) -> None:
    """Run a few passes whose results are dropped, and keep a path with a gap before it. Ends a session."""
    target.prefill([0] * 8)
    for num_nodes in (0, 4, 7, 16)[: num_passes + 1]:
        target.score(0, DraftTree((0,) * num_nodes, (-1,) * num_nodes))
        target.commit(())
    target.score(0, _FORK)
    target.commit((1,))
    target.prefill([])


def warm_up_method(target: Target, method: str, options: Mapping[str, object], config: GenerationConfig) -> None:
    """Decode a few tokens of a known prompt where this was not done before. Ends a session.

    Raises UnknownName or BadInput for what the method cannot be made with, or cannot work under.
    """
    if is_warm(target, method, options, config):
        return
    warmed = _warmed(target)
    if not warmed:
        warm_up(target)
    drafter = drafters.create(method, options, target)
    few = replace(config, max_new_tokens=NUM_TOKENS, stop_strings=(), timeout_s=0.0)
    for _ in generate(target, drafter, PROMPT, few):
        pass
    target.prefill([])
    warmed.add(_key(method, options, config))


def is_warm(target: Target, method: str, options: Mapping[str, object], config: GenerationConfig) -> bool:
    """Whether `warm_up_method` has nothing left to do. Raises UnknownName or BadInput."""
    return _key(method, options, config) in _warmed(target)


def _warmed(target: Target) -> set[Hashable]:
    return target.facts.keep("warmed", set)


def _key(method: str, options: Mapping[str, object], config: GenerationConfig) -> Hashable:
    """Settings of one kind run the same loops; a method and its fallback count with all of their options."""
    return tuple(drafters.parse(method, options)), config.is_greedy, config.rule
