"""Runs contenders on prompts, in an order drawn anew for each prompt, and times each run whole.

A contender's time is wall-clock from the call to its last token, prefill included, for methods and
peers alike; runs of the warm-up prompt are dropped. Knows no statistics and no files.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import drafters
from engine.audit import output_ids
from engine.bench.peers import Peer
from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.events import SessionFinished
from engine.loop import generate
from engine.metrics import tally
from engine.target import Target, warm_up


@dataclass(frozen=True)
class Cell:
    """One timed run."""

    suite: str
    prompt_index: int
    repeat: int
    method: str
    num_emitted: int
    seconds: float
    target_passes: int | None
    """None for peers, which do not say."""
    draft_ms: float | None
    target_ms: float | None
    host_ms: float | None
    is_same_text: bool
    """Whether the tokens are plain decoding's."""


@dataclass(frozen=True)
class Timed:
    """One run's output and times, before it is known what they are compared with."""

    output: list[int]
    seconds: float
    target_passes: int | None = None
    draft_ms: float | None = None
    target_ms: float | None = None
    host_ms: float | None = None

    def figures(self) -> dict[str, Any]:
        """All but the output."""
        return {name: value for name, value in vars(self).items() if name != "output"}


def run(
    target: Target,
    methods: Mapping[str, Mapping[str, object]],
    prompts: Sequence[tuple[str, str]],
    config: GenerationConfig,
    *,
    num_repeats: int = 1,
    peers: Sequence[Peer] = (),
    seed: int = 0,
) -> Iterator[Cell]:
    """Cells in the order they were measured. `methods` maps names to options; `plain` always runs.

    Raises RunFailed where a run fails: a figure must not stand on half a bench.
    """
    rng = random.Random(seed)
    names = ["plain", *(name for name in methods if name != "plain"), *(peer.name for peer in peers)]
    by_name = {peer.name: peer for peer in peers}
    _warm(target, methods, prompts[0][1], config, peers)
    for repeat in range(num_repeats):
        for index, (suite, prompt) in enumerate(prompts):
            prompt_ids = target.loaded.encode(prompt)
            expected = _plain_text(target, prompt_ids, config)
            for name in rng.sample(names, len(names)):
                if name in by_name:
                    timed = _time_peer(by_name[name], prompt_ids, config)
                else:
                    timed = _time_method(target, name, methods.get(name, {}), prompt_ids, config)
                is_same = timed.output == expected
                yield Cell(suite, index, repeat, name, len(timed.output), is_same_text=is_same, **timed.figures())


def _warm(
    target: Target,
    methods: Mapping[str, Mapping[str, object]],
    prompt: str,
    config: GenerationConfig,
    peers: Sequence[Peer],
) -> None:
    warm_up(target)
    prompt_ids = target.loaded.encode(prompt)
    for name, options in methods.items():
        _time_method(target, name, options, prompt_ids, config)
    for peer in peers:
        peer.generate(prompt_ids, config.max_new_tokens)


def _plain_text(target: Target, prompt_ids: list[int], config: GenerationConfig) -> list[int]:
    return output_ids(generate(target, drafters.create("plain", {}, target), prompt_ids, config))


def _time_method(
    target: Target, name: str, options: Mapping[str, object], prompt_ids: list[int], config: GenerationConfig
) -> Timed:
    drafter = drafters.create(name, options, target)
    started = time.perf_counter()
    events = list(generate(target, drafter, prompt_ids, config))
    seconds = time.perf_counter() - started
    finished = events[-1]
    if isinstance(finished, SessionFinished) and finished.reason == "failed":
        raise RunFailed(f"Method {name} failed: {finished.message}")
    total = tally(events)
    metrics = total.metrics
    return Timed(output_ids(events), seconds, total.steps, metrics.draft_ms, metrics.target_ms, metrics.host_ms)


def _time_peer(peer: Peer, prompt_ids: list[int], config: GenerationConfig) -> Timed:
    started = time.perf_counter()
    output = peer.generate(prompt_ids, config.max_new_tokens)
    return Timed(output, time.perf_counter() - started)
