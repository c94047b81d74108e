"""Prompt suites: questions by task, from the project's own files or from the field's as they are published.

Texts only; knows no tokens and no models.
"""

from __future__ import annotations

from engine.suites.places import FIELD, FOLDER_VARIABLE, OWN, field_names, names, own_names
from engine.suites.questions import MT_BENCH, Question, questions

__all__ = [
    "FIELD",
    "FOLDER_VARIABLE",
    "MT_BENCH",
    "OWN",
    "Question",
    "field_names",
    "names",
    "own_names",
    "questions",
]
