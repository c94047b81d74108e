"""Runs contenders on questions, taking turns, and times each run whole.

A round is one question asked to every contender, in an order drawn for it; the rounds of all suites
and repeats are shuffled together. A contender's time is wall-clock from the call to its last token,
prefill included, for methods and peers alike. It hears its own answers: what it wrote to one turn
stands in the conversation when it is asked the next. Runs of the warm-up are dropped. Knows no
statistics and no files.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from engine import drafters
from engine.audit import output_ids
from engine.bench.acceptance import of_turns
from engine.bench.peers import Peer
from engine.config import GenerationConfig
from engine.errors import BadInput, RunFailed
from engine.events import Event, SessionFinished
from engine.facts import TargetFacts
from engine.loop import generate
from engine.metrics import tally
from engine.models import Message
from engine.suites import Question
from engine.target import Target
from engine.warming import warm_up


@dataclass(frozen=True)
class Cell:
    """One timed run: a contender on a question, all turns together."""

    suite: str
    category: str
    prompt_index: int
    """Place of the question among all that are asked."""
    repeat: int
    method: str
    num_turns: int
    num_emitted: int
    seconds: float
    target_passes: int | None
    """None for peers, which do not say."""
    draft_ms: float | None
    target_ms: float | None
    host_ms: float | None
    is_same_text: bool
    """Whether the tokens are plain decoding's, in every turn."""
    acceptance_histogram: list[int] | None = None
    """As in engine.metrics; None for peers, and in files of former versions."""
    num_draft_tokens: int | None = None


@dataclass(frozen=True)
class Skipped:
    """A question that was not asked: with an answer of full length it does not fit the target's context."""

    suite: str
    category: str
    prompt_index: int


_Number = TypeVar("_Number", int, float)
Record = Cell | Skipped
Round = tuple[int, int]
"""Repeat and place of the question."""


@dataclass(frozen=True)
class Timed:
    """Output and times of a run, before it is known what they are compared with."""

    outputs: tuple[list[int], ...]
    """Token ids of each turn's answer."""
    seconds: float
    target_passes: int | None = None
    draft_ms: float | None = None
    target_ms: float | None = None
    host_ms: float | None = None
    sessions: tuple[Sequence[Event], ...] = ()
    """Each turn's events; none for peers."""

    def __add__(self, other: Timed) -> Timed:
        """One turn after another."""
        return Timed(
            self.outputs + other.outputs,
            self.seconds + other.seconds,
            _sum(self.target_passes, other.target_passes),
            _sum(self.draft_ms, other.draft_ms),
            _sum(self.target_ms, other.target_ms),
            _sum(self.host_ms, other.host_ms),
            self.sessions + other.sessions,
        )

    def figures(self) -> dict[str, Any]:
        """All but outputs and events."""
        return {name: value for name, value in vars(self).items() if name not in ("outputs", "sessions")}


def _sum(a: _Number | None, b: _Number | None) -> _Number | None:
    return None if a is None or b is None else a + b


@dataclass(frozen=True)
class Plan:
    """Every contender on every question, `num_repeats` times. `methods` maps names to options; `plain` always runs."""

    methods: Mapping[str, Mapping[str, object]]
    questions: Sequence[Question]
    config: GenerationConfig
    num_repeats: int = 1
    peers: Sequence[Peer] = ()
    seed: int = 0

    @cached_property
    def contenders(self) -> list[str]:
        """Their names, `plain` first."""
        return list(dict.fromkeys(["plain", *self.methods, *(peer.name for peer in self.peers)]))

    @cached_property
    def rounds(self) -> list[Round]:
        """All rounds in the order in which they are run: the same for the same seed."""
        found = [(repeat, index) for repeat in range(self.num_repeats) for index in range(len(self.questions))]
        return random.Random(self.seed).sample(found, len(found))

    def num_records(self, records: Collection[Record]) -> int:
        """How many records there will be in the end, by what is known to be skipped."""
        num_skipped = sum(isinstance(record, Skipped) for record in records)
        num_asked = len(self.questions) - num_skipped
        return num_skipped + num_asked * self.num_repeats * len(self.contenders)

    def order(self, of: Round) -> list[str]:
        """The contenders in the order in which they take their turns."""
        return random.Random(f"{self.seed} {of}").sample(self.contenders, len(self.contenders))


Encode = Callable[[Sequence[Message]], list[int]]
"""From a conversation to the target's token ids."""

Answer = Callable[[list[int]], Timed]
"""From a prompt's token ids to a timed answer."""

Observer = Callable[[Cell, tuple[Sequence[Event], ...]], None]
"""Told of each timed run, once its clock has stopped, with the events of each turn."""


def _look_away(cell: Cell, sessions: tuple[Sequence[Event], ...]) -> None:
    """An observer that does nothing."""


def run(
    target: Target, plan: Plan, finished: Collection[Record] = (), observe: Observer = _look_away
) -> Iterator[Record]:
    """Records in the order in which they are measured, those of finished rounds left out.

    Raises RunFailed where a run fails: a figure must not stand on half a bench.
    """
    left = [of for of in plan.rounds if of not in complete_rounds(finished, plan)]
    if not left:
        return
    skipped = {record.prompt_index for record in finished if isinstance(record, Skipped)}
    answers, encode = _answers(target, plan), encoded_once(target.facts.encode)
    _warm(target, plan, answers)
    for of in left:
        if of[1] in skipped:
            continue
        for record in _round(target.facts, encode, plan, answers, of, observe):
            if isinstance(record, Skipped):
                skipped.add(record.prompt_index)
            yield record


def complete_rounds(records: Collection[Record], plan: Plan) -> set[Round]:
    """Rounds in which every contender had its turn, or whose question is skipped."""
    skipped = {record.prompt_index for record in records if isinstance(record, Skipped)}
    had: dict[Round, set[str]] = {(repeat, index): set() for repeat, index in plan.rounds}
    for record in records:
        if isinstance(record, Cell):
            had[record.repeat, record.prompt_index].add(record.method)
    return {of for of, names in had.items() if of[1] in skipped or names == set(plan.contenders)}


def of_whole_rounds(records: Collection[Record], plan: Plan) -> list[Record]:
    """All but the cells of rounds that were broken off."""
    whole = complete_rounds(records, plan)
    return [r for r in records if isinstance(r, Skipped) or (r.repeat, r.prompt_index) in whole]


def encoded_once(encode: Encode) -> Encode:
    """Each conversation's ids as they were when it was first asked for: a chat template may hold a clock."""
    known: dict[tuple[tuple[str, ...], ...], list[int]] = {}

    def remembered(messages: Sequence[Message]) -> list[int]:
        key = tuple((message["role"], message["content"]) for message in messages)
        if key not in known:
            known[key] = encode(messages)
        return list(known[key])

    return remembered


def _round(
    facts: TargetFacts, encode: Encode, plan: Plan, answers: Mapping[str, Answer], of: Round, observe: Observer
) -> Iterator[Record]:
    repeat, index = of
    question = plan.questions[index]
    place = (question.suite, question.category, index)
    expected = converse(facts, encode, question.turns, answers["plain"], plan.config.max_new_tokens)
    if expected is None:
        yield Skipped(*place)
        return
    for name in plan.order(of):
        timed = converse(facts, encode, question.turns, answers[name], plan.config.max_new_tokens)
        if timed is None:
            raise RunFailed(f"{name}'s own answers leave no room for the next turn; give fewer --max-new-tokens.")
        num_emitted = sum(map(len, timed.outputs))
        is_same = timed.outputs == expected.outputs
        figures = timed.figures() | of_turns(timed.sessions)
        cell = Cell(*place, repeat, name, len(question.turns), num_emitted, is_same_text=is_same, **figures)
        observe(cell, timed.sessions)
        yield cell


def converse(
    facts: TargetFacts, encode: Encode, turns: Sequence[str], answer: Answer, max_new_tokens: int
) -> Timed | None:
    """Ask turn by turn, each answer put into the conversation before the next turn.

    None where a turn and an answer of full length do not fit the context.
    """
    messages: list[Message] = []
    parts: list[Timed] = []
    for turn in turns:
        messages.append({"role": "user", "content": turn})
        prompt_ids = encode(messages)
        if len(prompt_ids) + max_new_tokens > facts.max_context:
            return None
        parts.append(answer(prompt_ids))
        text = str(facts.tokenizer.decode(parts[-1].outputs[0], skip_special_tokens=True))
        messages.append({"role": "assistant", "content": text})
    return sum(parts[1:], start=parts[0])


def _answers(target: Target, plan: Plan) -> dict[str, Answer]:
    """What each contender does with a prompt."""
    answers: dict[str, Answer] = {
        name: partial(_time_method, target, name, given, plan.config)
        for name, given in {"plain": {}, **plan.methods}.items()
    }
    return answers | {peer.name: partial(_time_peer, peer, plan.config) for peer in plan.peers}


def _warm(target: Target, plan: Plan, answers: Mapping[str, Answer]) -> None:
    """Every contender answers the first question that fits; nothing is kept."""
    warm_up(target)
    limit = target.max_context - plan.config.max_new_tokens
    prompts = (target.facts.encode(question.turns[0]) for question in plan.questions)
    prompt_ids = next((ids for ids in prompts if len(ids) <= limit), None)
    if prompt_ids is None:
        raise BadInput(
            f"No question fits: the context holds {target.max_context} tokens, of which max_new_tokens keeps "
            f"{plan.config.max_new_tokens} for the answer."
        )
    for answer in answers.values():
        answer(prompt_ids)


def _time_method(
    target: Target, name: str, options: Mapping[str, object], config: GenerationConfig, prompt_ids: list[int]
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
    times = (metrics.draft_ms, metrics.target_ms, metrics.host_ms)
    return Timed((output_ids(events),), seconds, total.steps, *times, sessions=(events,))


def _time_peer(peer: Peer, config: GenerationConfig, prompt_ids: list[int]) -> Timed:
    started = time.perf_counter()
    output = peer.generate(prompt_ids, config.max_new_tokens)
    return Timed((output,), time.perf_counter() - started)
