"""Fakes with known answers, and tiny models built in code: no weights, no network."""

from __future__ import annotations

from toys.drafting import Script, ScriptedDrafter, random_trees, right, session_of, trees, wrong
from toys.families import BORDER, FAMILIES, MAX_CONTEXT, REFUSED, VOCAB_SIZE, WINDOW
from toys.heads import create, random_weights, untrained, write_weights
from toys.letters import LetterTokenizer, loaded, stand_in
from toys.networks import (
    DTYPES,
    build,
    draft_for,
    logits_of,
    losses_of,
    masking,
    prompt_ids,
    randomised,
    stock,
    stock_logits,
    tiny,
)
from toys.outcomes import finished, greedy_text, output_ids, steps_of
from toys.statistics import assert_fits
from toys.tables import Rows, Table, TableTarget

__all__ = [
    "BORDER",
    "DTYPES",
    "FAMILIES",
    "MAX_CONTEXT",
    "REFUSED",
    "VOCAB_SIZE",
    "WINDOW",
    "LetterTokenizer",
    "Rows",
    "Script",
    "ScriptedDrafter",
    "Table",
    "TableTarget",
    "assert_fits",
    "build",
    "create",
    "draft_for",
    "finished",
    "greedy_text",
    "loaded",
    "logits_of",
    "losses_of",
    "masking",
    "output_ids",
    "prompt_ids",
    "random_trees",
    "random_weights",
    "randomised",
    "right",
    "session_of",
    "stand_in",
    "steps_of",
    "stock",
    "stock_logits",
    "tiny",
    "trees",
    "untrained",
    "write_weights",
    "wrong",
]
