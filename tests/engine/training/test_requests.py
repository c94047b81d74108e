"""Requests of every kind, from what a corpus holds, apart from the suites."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

from engine.training import requests
from engine.training.corpus import Document

STORY = Document(" ".join(f"The fox number {i} ran over the hill and saw a small house." for i in range(60)))
TALK = Document("", kind="dialogue", turns=tuple(f"What about number {i}, is it free today?" for i in range(40)))


def test_passages_are_whole_sentences_and_turns_of_the_documents() -> None:
    found = list(itertools.islice(requests.passages([STORY, TALK], random.Random(1)), 40))
    for text in found:
        parts = [part for part in text.split("\n\n") if "number" in part]
        passage = (parts[0] if parts else text).removeprefix("Summarize: ")
        assert requests.MIN_PASSAGE_CHARS <= len(passage) <= requests.MAX_PASSAGE_CHARS + len("Assistant: ")
        assert passage.endswith((".", "?"))
    assert any("User: What about" in text for text in found)
    assert any("The fox" in text for text in found)


def test_documents_that_are_all_too_short_give_no_passage() -> None:
    assert list(requests.passages([Document("Short.")] * 3, random.Random(1))) == []


def test_code_is_asked_for_by_signature_and_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    library = requests._library()
    assert len(library) > 100
    some = [path for path in library if path.stem in ("heapq", "textwrap", "ast")]
    monkeypatch.setattr(requests, "_library", lambda: some)
    found = list(itertools.islice(requests.code(random.Random(1)), 60))
    completions = [text for text in found if text.startswith("Complete this Python function:")]
    assert completions
    for text in completions:
        compile(text.split("\n\n\n", 1)[1], "request", "exec")
    assert any(text.startswith("Write a Python function `") for text in found)
    assert any("```python\ndef " in text for text in found)


def test_questions_and_readings_are_what_the_corpus_holds(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/self_instruct.seed_tasks.jsonl").write_text('{"instruction": "Name a river."}\n')
    assert list(requests.questions(tmp_path, random.Random(1))) == ["Name a river."]
    assert list(requests.readings(tmp_path, random.Random(1))) == []


def test_kinds_have_their_shares_and_one_that_ends_leaves_its_to_the_others() -> None:
    endless = (f"many {i}" for i in itertools.count())
    sources = {"few": (0.5, iter(["a", "b", "a"])), "many": (0.5, endless)}
    found = requests.mixed(sources, 50, random.Random(1))
    assert len(found) == len({request.text for request in found}) == 50
    assert [request.text for request in found if request.kind == "few"] == ["a", "b"]


def test_what_shares_thirteen_words_with_a_suite_is_dropped() -> None:
    words = [f"w{i}" for i in range(20)]
    kept, dropped = (requests.Request("own", " ".join(words[:n]) + "!") for n in (12, 13))
    assert requests.apart([kept, dropped], ["W0, " + " ".join(words[1:])]) == [kept]


def test_requests_are_kept_as_they_are(tmp_path: Path) -> None:
    found = [requests.Request("own", 'a "b"\n\u2028c'), requests.Request("code", "x")]
    requests.save(found, tmp_path / "r.jsonl")
    assert requests.load(tmp_path / "r.jsonl") == found
    assert json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])["kind"] == "own"
