"""The one place where drafter, target and verifier meet: propose, score, verify, commit, observe.

`generate` is a generator of events; it pulls nothing and knows nobody who listens. It ends with a
`SessionFinished` that says why, also when a limit, an end-of-text token, a stop string, a timeout
or a stop request falls inside a draft. Closing the generator ends the session at the next step.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from engine import packed
from engine.answer import Answer
from engine.config import GenerationConfig
from engine.conversation import ALONE, Conversation
from engine.detail import NUM_ALTERNATIVES, Detail, told_nodes, told_tokens
from engine.distributions import Distributions, TokensBefore
from engine.drafters.base import Context, Drafter, Room
from engine.errors import BadInput, ContextFull, told
from engine.events import Counts, Event, Prefilled, SessionFinished, SessionStarted, Stepped, StopReason
from engine.facts import TargetFacts
from engine.noise import Noise
from engine.runtime import machine
from engine.runtime.device import release
from engine.runtime.laps import Laps
from engine.runtime.prompt_top import PromptTop
from engine.sampling import Integers
from engine.target import Scored, Target
from engine.tree import EMPTY_TREE, MAX_BUDGET, DraftTree
from engine.verify import Verdict

R = TypeVar("R")


def generate(
    target: Target,
    drafter: Drafter,
    prompt: str | Sequence[int],
    config: GenerationConfig,
    *,
    conversation: Conversation = ALONE,
    prompt_ids: Sequence[int] | None = None,
    session_id: str | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Decode a prompt (text, or token ids as they are) and yield what happens.

    `conversation`: what a text stands in. `prompt_ids`: what a text was encoded to before, where several sessions are
    to read the same.
    Raises BadInput before the first event where prompt or settings cannot be used. A fault during
    decoding ends the stream with reason `failed` and is not raised.
    """
    session = Session(target, drafter, prompt, config, should_stop, prompt_ids, conversation)
    return session.events(session_id or uuid.uuid4().hex)


class Session:
    """One prompt with one config, from start to finish."""

    def __init__(
        self,
        target: Target,
        drafter: Drafter,
        prompt: str | Sequence[int],
        config: GenerationConfig,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None = None,
        conversation: Conversation = ALONE,
    ) -> None:
        self.target, self.drafter, self.config, self.should_stop = target, drafter, config, should_stop
        self.prompt = prompt if isinstance(prompt, str) else target.facts.decode(prompt)
        self.conversation = conversation
        if prompt_ids is None:
            prompt_ids = encoded(target.facts, prompt, conversation) if isinstance(prompt, str) else prompt
        self.prompt_ids = list(prompt_ids)
        if not self.prompt_ids:
            raise BadInput("The prompt has no tokens; give at least one.")
        drafter.check(config)
        if len(self.prompt_ids) >= target.max_context:
            raise ContextFull(len(self.prompt_ids), target.max_context)
        self.context = Context(list(self.prompt_ids), config, Noise(config.seed))
        self.rule = config.verification_rule(config.has_detail)
        self.answer = Answer(target.facts, self.prompt_ids, config, target.max_context)
        self._seen: Integers = np.empty(0, np.int64)
        self._num_seen = 0
        self.steps = self.proposed = self.accepted = self.decode_ns = 0
        self.fault = ""
        """What became of the drafter, where the session went on without it."""

    def events(self, session_id: str) -> Iterator[Event]:
        """The session's events."""
        yield self._started(session_id)
        reason: StopReason | None = None
        message = ""
        deadline = time.monotonic() + self.config.timeout_s if self.config.timeout_s else float("inf")
        try:
            yield self._prefill()
            while reason is None:
                if self.should_stop():
                    reason = "stopped"
                elif time.monotonic() > deadline:
                    reason = "timeout"
                else:
                    step, reason = self._step()
                    yield step
        except Exception as error:  # noqa: BLE001 - a drafter's fault must not lose what was emitted
            reason, message = "failed", told(error)
            release()
        yield self._finished(reason, message or self.fault)

    def _started(self, session_id: str) -> SessionStarted:
        facts = self.target.facts
        guarantees = (self.drafter.guarantee, self.rule.guarantee)
        return SessionStarted(
            session_id=session_id,
            created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            prompt=self.prompt,
            prompt_ids=tuple(self.prompt_ids),
            method=self.drafter.name,
            method_options=self.drafter.settings,
            guarantee="lossy" if "lossy" in guarantees else "exact",
            model=facts.name,
            device=str(facts.device),
            dtype=str(facts.dtype).removeprefix("torch."),
            config={**self.config.to_dict(), **self.conversation.to_dict()},
            machine=machine(facts.device),
        )

    def _prefill(self) -> Prefilled:
        started = time.perf_counter_ns()
        needs = self.drafter.needs
        self.target.hidden_layers = needs.hidden_layers
        top = PromptTop(needs.prompt_top_k, has_probs=needs.prompt_probs) if needs.prompt_top_k else None
        self.context.prompt_hidden = self.target.prefill(self.prompt_ids[:-1], top.add if top else None)
        self.context.prompt_top = top
        self._of_drafter(lambda: self.drafter.start(self.context), None)
        self.target.synchronise()
        return Prefilled(len(self.prompt_ids), time.perf_counter_ns() - started, self.target.kv_length)

    def _step(self) -> tuple[Stepped, StopReason | None]:
        laps = Laps(self.target.facts.device)
        tree = self.context.tree = self._propose()
        laps.lap("draft_ns")
        root_id = self.context.root_id
        try:
            pending = self.target.launch(root_id, tree)
        finally:  # a failed pass, too, ends what the drafter does beside it
            self._of_drafter(lambda: self.drafter.while_scoring(self.context), None)
        scored = pending.collect()
        laps.lap("target_ns")
        noise, position = self.context.noise, self.context.position
        asked = packed.Step(tree, noise, position, NUM_ALTERNATIVES if self.config.has_detail else 0)
        target = Distributions(scored.logits, self.config, self._contexts(tree), asked)
        verdict = self.rule.verify(tree, target, noise, position)
        laps.meet()
        token_ids = [*(tree.tokens[node] for node in verdict.path), verdict.next_token]
        pieces, reason = self.answer.take(token_ids)
        verdict = cut(verdict, len(pieces))
        laps.lap("verify_ns")
        self.target.commit(verdict.path[: len(pieces)])
        laps.lap("commit_ns")
        token_ids = token_ids[: len(pieces)]
        detail = self._detail(tree, verdict, token_ids, target)
        self._advance(tree, verdict, token_ids, scored)
        statuses = tree.statuses(verdict.path, len(pieces))
        nodes = told_nodes(tree, statuses, detail, self.answer.texts)
        emitted = told_tokens(verdict, token_ids, pieces, detail)
        laps.lap("host_ns")
        ns = laps.ns()
        self.decode_ns += sum(ns.values())
        step = Stepped(
            step=self.steps - 1,
            root_id=root_id,
            nodes=nodes,
            path=verdict.path,
            emitted=emitted,
            draft_ns=ns["draft_ns"],
            target_ns=ns["target_ns"],
            verify_ns=ns["verify_ns"],
            commit_ns=ns["commit_ns"],
            host_ns=ns["host_ns"],
            kv_length=self.target.kv_length,
            proposed_by=tree.proposed_by,
            judged=tuple(judged for judged in verdict.judged if statuses[judged.node] != "unreached"),
            drafted_from=detail.drafted_from,
        )
        return step, reason

    def _propose(self) -> DraftTree:
        """The drafter's tree, held to what can still be emitted and what the context still holds."""
        room = self._room()
        tree = self._of_drafter(lambda: self.drafter.propose(self.context, room), EMPTY_TREE)
        return tree.pruned(room.nodes, room.depth).within(self.target.facts.vocab_size)

    def _of_drafter(self, says: Callable[[], R], otherwise: R) -> R:
        """What the drafter says; `otherwise` once it has failed, where the session is to go on without it."""
        if self.fault:
            return otherwise
        try:
            return says()
        except Exception as error:
            if self.config.after_fault == "end":
                raise
            self.fault = f"The drafter failed, and no drafts were made behind step {self.steps}: {told(error)}"
            release()
            return otherwise

    def _room(self) -> Room:
        """Left of the step's budget, of the tokens asked for and of the context."""
        tokens = len(self.context.ids)
        depth = min(self.config.max_new_tokens - self.answer.num_tokens - 1, self.target.most_depth(tokens))
        return Room(min(MAX_BUDGET, self.target.max_context - tokens), depth) if depth > 0 else Room(0, 0)

    def _contexts(self, tree: DraftTree) -> TokensBefore | None:
        """Token ids before each row's token, for settings that look back."""
        if self.config.repetition_penalty == 1:
            return None
        self._seen = np.union1d(self._seen, self.context.ids[self._num_seen :])
        self._num_seen = len(self.context.ids)
        return TokensBefore(self._seen, tree)

    def _advance(self, tree: DraftTree, verdict: Verdict, token_ids: list[int], scored: Scored) -> None:
        self.context.ids.extend(token_ids)
        self.steps += 1
        self.proposed += len(tree)
        self.accepted += len(verdict.path)
        self._of_drafter(lambda: self.drafter.observe(verdict, token_ids, scored), None)

    def _detail(self, tree: DraftTree, verdict: Verdict, token_ids: Sequence[int], target: Distributions) -> Detail:
        if not self.config.has_detail:
            return Detail.none(len(tree), len(token_ids))
        return Detail.of(tree, verdict, token_ids, target, self.answer.texts)

    def _finished(self, reason: StopReason, message: str) -> SessionFinished:
        num_emitted = len(self.context.ids) - len(self.prompt_ids)
        counts = Counts(self.steps, self.proposed, self.accepted, num_emitted, target_passes=self.steps)
        return SessionFinished(reason, counts, self.decode_ns, message, self.target.memory(self.drafter))


def encoded(facts: TargetFacts, prompt: str, conversation: Conversation) -> list[int]:
    """A text in its conversation as the target reads it. Raises BadInput."""
    return facts.encode(conversation.said(prompt), is_raw=conversation.is_raw, thinks=conversation.thinks)


def cut(verdict: Verdict, num_tokens: int) -> Verdict:
    """The verdict as far as its tokens were emitted: an end inside the path drops what follows."""
    return replace(verdict, path=verdict.path[:num_tokens])
