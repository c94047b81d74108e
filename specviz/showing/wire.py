"""A run on its way to the browser.

A message is either `{alert}` alone or `{stream, seq, reset, snapshot, status, steps, tiles, figures, spoken}`. Texts
are data: the page sets them by textContent only.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.events import Emitted, Node, Stepped
from specviz.showing import tiles
from specviz.showing.channel import Channel
from specviz.showing.fold import ViewState
from specviz.showing.steps import STATUSES, depths, own_text, step_ms, times_ms
from specviz.text import without_surrogates

MAX_GHOSTS = 24
"""Drafted tokens shown per step beside the accepted ones; the rest is counted."""
Children = dict[int, list[int]]
PENDING = {"preparing", "running"}


class Stream(Channel[ViewState]):
    """One run on its way to one page."""

    steps_key = "steps"

    def __init__(self) -> None:
        super().__init__(ViewState())
        self._log = StepLog(has_trees=True)

    def _outline(self, state: ViewState) -> object:
        return state.phase, state.position

    def _take(self, state: ViewState) -> tuple[bool, list[Any]]:
        is_reset = state.started is not self._state.started
        if is_reset:
            self._log = StepLog(has_trees=True)
        return is_reset, self._log.take(state)

    def _all_steps(self) -> list[Any]:
        return self._log.steps

    def _figures(self) -> dict[str, Any]:
        """Tiles and captions only behind a run's first event, so that the last run's stay on screen until then."""
        state = self._state
        status = {
            "phase": state.phase,
            "text": tiles.status_text(state),
            "meta": tiles.meta_text(state),
            "session": state.started.session_id if state.started else "",
            "role": state.role,
            "isPending": state.phase in PENDING,
        }
        if state.started is None and self._seq > 0:
            return {"status": status}
        return {
            "status": status,
            "tiles": [asdict(tile) for tile in tiles.tiles(state)],
            "figures": tiles.captions(state),
        }

    def _whole(self, *, is_last: bool) -> dict[str, Any]:
        spoken = {"spoken": tiles.spoken_text(self._state)} if is_last else {}
        return {"reset": self._state.started is not None} | spoken


class StepLog:
    """The steps of one run, as the page draws them; with their draft trees where these are drawn too."""

    def __init__(self, *, has_trees: bool = False) -> None:
        self.steps: list[dict[str, Any]] = []
        self._has_trees = has_trees
        self._elapsed_ms = 0.0

    def take(self, view: ViewState) -> list[dict[str, Any]]:
        """Encode what is new, and give it."""
        first = len(self.steps)
        for step in view.steps[first:]:
            self._elapsed_ms += step_ms(step)
            tree = {"tree": tree_view(step)} if self._has_trees and step.nodes else {}
            self.steps.append(step_view(step, self._elapsed_ms) | tree)
        return self.steps[first:]


def step_view(step: Stepped, elapsed_ms: float) -> dict[str, Any]:
    """One step as the page draws it."""
    levels, below = depths(step.nodes), _children(step)
    ghosts = _ghosts(step, levels, below)
    maker = {"by": without_surrogates(step.proposed_by)} if step.proposed_by else {}
    return maker | {
        "n": step.step,
        "at": round(elapsed_ms, 3),
        "ms": [round(ms, 3) for ms in times_ms(step)],
        "verify": round(step.verify_ns / 1e6, 3),
        "drafted": len(step.nodes),
        "len": len(step.path),
        "k": [_token(token, step, levels, below, place) for place, token in enumerate(step.emitted)],
        "g": ghosts[:MAX_GHOSTS],
        "more": max(0, len(ghosts) - MAX_GHOSTS),
    }


def tree_view(step: Stepped) -> dict[str, Any]:
    """The draft tree of a step in columns, as in `showing.trace`; tokens as texts, probabilities to four places."""
    nodes = step.nodes
    return {
        "path": step.path,
        "t": [without_surrogates(node.text) for node in nodes],
        "up": [node.parent for node in nodes],
        "s": [STATUSES.index(node.status) for node in nodes],
        "p": [_short(node.target_prob) for node in nodes],
        "q": [_short(node.draft_prob) for node in nodes],
    }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _children(step: Stepped) -> Children:
    """The nodes below each node; the root is -1."""
    found: Children = {}
    for index, node in enumerate(step.nodes):
        found.setdefault(node.parent, []).append(index)
    return found


def _token(token: Emitted, step: Stepped, levels: list[int], below: Children, place: int) -> dict[str, Any]:
    if token.node is not None:
        draft_prob = step.nodes[token.node].draft_prob
    else:
        draft_prob = _rejected_prob(token, step, below, place)
    own = own_text(token)
    view = {} if own and own == token.text else {"raw": without_surrogates(own)}
    return view | {
        "t": without_surrogates(token.text),
        "id": token.token_id,
        "o": token.origin,
        "p": token.target_prob,
        "q": draft_prob,
        "d": levels[token.node] if token.node is not None else place + 1,
        "a": [[without_surrogates(c.text), c.token_id, c.probability] for c in token.alternatives],
    }


def _rejected_prob(token: Emitted, step: Stepped, below: Children, place: int) -> float | None:
    """The drafter's probability of a target's token, where it had drafted that very token at this place.

    Only the first token behind the path is the target's own word against a draft: nothing was drafted behind it.
    """
    if place != len(step.path):
        return None
    siblings = (step.nodes[index] for index in below.get(step.path[-1] if step.path else -1, ()))
    return next((node.draft_prob for node in siblings if node.token_id == token.token_id), None)


def _ghosts(step: Stepped, levels: list[int], children: Children) -> list[dict[str, Any]]:
    """Drafted tokens that were not emitted, in reading order, each with its place: before which emitted token."""
    path = set(step.path)
    found: list[dict[str, Any]] = []
    todo = [(index, 0) for index in reversed(children.get(-1, []))]
    while todo:
        index, place = todo.pop()
        is_kept = index in path
        if not is_kept:
            found.append(_ghost(step.nodes[index], levels[index], place))
        below = place + 1 if is_kept else place
        todo.extend((child, below) for child in reversed(children.get(index, [])))
    return sorted(found, key=lambda ghost: ghost["at"])


def _ghost(node: Node, depth: int, place: int) -> dict[str, Any]:
    return {
        "t": without_surrogates(node.text),
        "id": node.token_id,
        "s": node.status if node.status != "accepted" else "unreached",
        "p": node.target_prob,
        "q": node.draft_prob,
        "d": depth,
        "at": place,
    }
