"""Sessions: find saved runs, look at one, compare several, carry them in and out. Layout first, wiring last.

The list is drawn by assets/js/browser.js, which asks through server functions; what an address names arrives as
`{open, compare}`. Handlers answer with JSON text: what was asked for, or `{error: a sentence}`.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import gradio as gr
from gradio.components import Component

from engine.errors import BadInput
from specviz.archive import lines, records
from specviz.decoding.device import Device
from specviz.decoding.visitors import Visitors, hashed
from specviz.mishaps import broke
from specviz.pages import exports
from specviz.pages.drawn import drawn
from specviz.pages.side_by_side import side_by_side
from specviz.pages.stage import asked_of, make_stage, saved_run
from specviz.policy import Policy
from specviz.showing import listing
from specviz.showing.channel import Streams
from specviz.showing.listing import Listing
from specviz.showing.rows import to_row
from specviz.store import Sharing, Store, StoreError
from specviz.text import to_wire, without_surrogates

PUBLIC = " Whoever opens this page can read what is in this list, but for your private runs; only you can change yours."
NOBODY = "nobody"
"""Whose runs are none: a browser that does not say who it is has made none."""
Answer = Callable[[Any, Any], dict[str, Any]]


def answering(handler: Answer) -> Callable[[Any, Any], str]:
    """The handler's answer as text; a visitor's mistake or the database's trouble as a sentence."""

    @functools.wraps(handler)
    def answer(page: Any, given: Any) -> str:
        try:
            return to_wire(handler(page, given))
        except (BadInput, StoreError) as error:
            return to_wire({"error": without_surrogates(str(error))})
        except Exception:  # noqa: BLE001 - a bug must not leave the page without an answer
            return to_wire({"error": f"{broke('The page')} Nothing was changed; please try again."})

    return answer


def _sharing(policy: Policy) -> Sharing:
    """Of what a visitor brings."""
    return "private" if policy.sharing == "private" else "listed"


def _asked(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the list is asked for: `mine` means the runs of the asking browser, whose token is `visitor`."""
    kept = {**row, "viewer": hashed(row.get("visitor")), "visitor": ""}
    return {**kept, "visitor": kept["viewer"] or NOBODY} if row.get("mine") is True else kept


@dataclass(frozen=True)
class SavedRuns:
    """The page and its handlers."""

    id: ClassVar[str] = "sessions"
    title: ClassVar[str] = "Sessions"
    store: Store
    streams: Streams
    visitors: Visitors = field(default_factory=Visitors)
    device: Device | None = None
    """Tells the texts of a prompt's tokens."""

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """The list, filtered as the address says, and the run or the comparison that it names."""
        run_id, ids = query.get("run", ""), [part for part in query.get("ids", "").split(",") if part]
        shown: dict[str, Any] = {"open": "" if ids else run_id, "nonce": uuid.uuid4().hex}
        if "group" in query:
            names = {"group": "group_id", "method": "method", "task": "task"}
            shown["find"] = {names[name]: query[name] for name in names if query.get(name)}
        if ids:
            shown["compare"] = self.compare(ids)
        return to_wire(shown), self.open(run_id) if run_id and not ids else gr.skip()

    @answering
    def find(self, given: Any) -> dict[str, Any]:
        """One page of the list, with the values to choose from; `visitor` is the asking browser's token."""
        wanted: Listing = listing.parse(_asked(listing.mapping(given)))
        order: dict[str, Any] = {"sort": wanted.sort, "is_descending": wanted.is_descending}
        rows, total = self.store.find_runs(listing.NUM_ROWS, wanted.offset, **order, **wanted.conditions)
        plain = self.store.baselines(rows)
        token = listing.mapping(given).get("visitor")
        return {
            "rows": [
                to_row(run, plain.get(run.baseline_run_id or ""), self.visitors.may_change(token, run.visitor))
                for run in rows
            ],
            "total": total,
            "first": wanted.offset + 1,
            "size": listing.NUM_ROWS,
            "page": wanted.page,
            "is_filtered": bool(wanted.conditions.keys() - {"viewer"}),
            "known": self.store.known_values(wanted.conditions.get("viewer") or ""),
            "kept": self.store.problem or f"Kept in {self.store.kept}.{PUBLIC if self.visitors.is_public else ''}",
        }

    @answering
    def mark(self, given: Any) -> dict[str, Any]:
        """Tag, untag, write a note, delete or bring back: `{action, ids, text, visitor}`."""
        row = listing.mapping(given)
        ids, action = listing.run_ids(row.get("ids")), row.get("action")
        self.visitors.check(row.get("visitor"), self.store.makers(ids))
        if action == "delete":
            return {"deleted": self.store.trash(ids)}
        if action == "restore":
            return {"restored": self.store.restore(ids)}
        if action == "note":
            self.store.set_note(ids[0], listing.text(row.get("text"), "note", records.MOST_NOTE_CHARS))
            return {"noted": ids[:1]}
        word = listing.text(row.get("text"), "tag", records.MOST_TAG_CHARS)
        if action not in ("tag", "untag") or not word:
            raise BadInput(f"A tag is a word of 1 to {records.MOST_TAG_CHARS} characters.")
        return {"tagged": self._tag(ids, word) if action == "tag" else self._untag(ids, word)}

    def _tag(self, ids: Sequence[str], word: str) -> Sequence[str]:
        """All of these runs or none."""
        runs = self.store.get_runs(ids)
        if any(word not in run.tags and len(run.tags) >= records.MOST_TAGS for run in runs):
            raise BadInput(f"A run takes at most {records.MOST_TAGS} tags.")
        for run in runs:
            self.store.add_tag(run.id, word)
        return ids

    def _untag(self, ids: Sequence[str], word: str) -> Sequence[str]:
        for run in self.store.get_runs(ids):
            self.store.remove_tag(run.id, word)
        return ids

    @answering
    def export(self, given: Any) -> dict[str, Any]:
        """A file: `{kind, ids}`, or `{kind, listing}` for all that was found."""
        row = listing.mapping(given)
        named = {"listing": _asked(listing.mapping(row["listing"]))} if row.get("listing") else {}
        return exports.export(self.store, {**row, **named})

    @answering
    def take_in(self, given: Any) -> dict[str, Any]:
        """Import an exported file: `{text, visitor}`. What was deleted makes room only for who may bring it back."""
        row = given if isinstance(given, Mapping) else {"text": given}
        if not isinstance(row.get("text"), str):
            raise BadInput("That file cannot be read as text.")
        policy = self.visitors.policy
        policy.check_import(len(row["text"]))
        copies = lines.from_lines(row["text"], lines.HOME if policy.imports == "any" else lines.SMALL)
        ids = [copy.run_id for copy in copies]
        there = {run.id for run in self.store.get_runs(ids)}
        makers = self.store.makers(ids)
        self.visitors.check(row.get("visitor"), {name: makers[name] for name in makers if name not in there})
        added = self.store.add_copies(copies, hashed(row.get("visitor")), _sharing(policy))
        return {"added": added, "known": len({copy.run_id for copy in copies}) - len(added)}

    @answering
    def compare(self, given: Any) -> dict[str, Any]:
        """Runs side by side."""
        return side_by_side(self.store, given)

    def open(self, run_id: object) -> str:
        """A saved run as one message for the stage."""
        return saved_run(self.store, self.streams, run_id)

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab. Returns list and stage."""
        serves = {
            "find_runs": self.find,
            "mark_runs": self.mark,
            "export_runs": self.export,
            "import_runs": self.take_in,
        }
        known = {"NO_FILES": True} if self.visitors.policy.imports == "off" else {}
        browser = drawn("runs", "browser", serves=serves, known=known)
        served = {"asked": asked_of(self.store, self.device)}
        return browser, make_stage("saved-stage", self.streams, "savedstage", serves=served)
