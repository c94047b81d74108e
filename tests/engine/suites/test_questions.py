"""Suites: the project's own files and the field's become questions; anything else is one sentence."""

from __future__ import annotations

import gzip
import json
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

import pytest

from engine import suites
from engine.errors import BadInput, UnknownName
from engine.suites import MT_BENCH, Question


def write(path: Path, *rows: Any) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def turns(category: str, *texts: str) -> dict[str, Any]:
    return {"question_id": 81, "category": category, "turns": list(texts), "reference": ["unread"]}


def test_every_suite_that_ships_has_questions_of_its_name() -> None:
    for name in suites.own_names():
        found = suites.questions(name, 3)
        assert len(found) == 3
        assert {(question.suite, question.category, len(question.turns)) for question in found} == {(name, "", 1)}


def test_rows_with_a_prompt_and_rows_with_turns_are_both_questions(tmp_path: Path) -> None:
    path = write(tmp_path / "mixed.jsonl", {"prompt": "A line\u2028break."}, turns("qa", "One?", "Two?"))
    assert suites.questions(path) == [
        Question("mixed", ("A line\u2028break.",)),
        Question("mixed", ("One?", "Two?"), "qa"),
    ]
    found = suites.questions(path)
    Path(path).write_bytes(BOM_UTF8 + Path(path).read_bytes())
    assert suites.questions(path) == found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mt_bench.question.jsonl", "mt_bench"),
        ("spec_bench/question.jsonl", "spec_bench"),
        ("question_redundant.jsonl", "question_redundant"),
        ("story.held-out.jsonl", "story.held-out"),
    ],
)
def test_a_file_is_named_for_what_it_holds(name: str, wanted: str, tmp_path: Path) -> None:
    assert suites.questions(write(tmp_path / name, {"prompt": "Hi."}))[0].suite == wanted


def test_spec_bench_counts_the_categories_of_mt_bench_as_one(tmp_path: Path) -> None:
    rows = [turns(category, "Hi.") for category in sorted(MT_BENCH)]
    alone = suites.questions(write(tmp_path / "mt_bench.jsonl", *rows))
    assert [question.category for question in alone] == sorted(MT_BENCH)
    among = suites.questions(write(tmp_path / "spec_bench.jsonl", *rows, turns("rag", "Hi.")))
    assert [question.category for question in among] == ["mt_bench"] * 8 + ["rag"]


def test_within_spec_bench_the_categories_of_mt_bench_take_turns(tmp_path: Path) -> None:
    rows = [turns(category, f"{category} {i}") for category in ("stem", "math", "rag") for i in range(3)]
    found = suites.questions(write(tmp_path / "spec_bench.jsonl", *rows), 3)
    assert [q.turns[0] for q in found if q.category == "mt_bench"] == ["stem 0", "math 0", "stem 1"]
    assert [q.turns[0] for q in found if q.category == "rag"] == ["rag 0", "rag 1", "rag 2"]


def test_rows_of_the_field_become_what_a_user_says(tmp_path: Path) -> None:
    rows = [
        {"question": "How many?", "answer": "#### 3"},
        {"task_id": "HumanEval/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x"},
        {"text": "Write a function.", "code": "pass", "test_list": ["assert f(1)", "assert f(2)"]},
    ]
    assert [question.turns[0] for question in suites.questions(write(tmp_path / "mixed.jsonl", *rows))] == [
        "How many?",
        "Complete this Python function:\n\ndef f(x):\n",
        "Write a function.\nYour code should pass these tests:\n\nassert f(1)\nassert f(2)",
    ]


def test_a_gzipped_file_is_read_and_a_broken_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "Hi."}\n' * 9))
    assert suites.questions(str(path), 1) == [Question("odd", ("Hi.",))]
    whole = path.read_bytes()
    for broken in (whole[:-12], b"no gzip", whole[:12] + b"\xff" * 9 + whole[21:]):
        path.write_bytes(broken)
        with pytest.raises(BadInput, match=r"odd\.jsonl\.gz is corrupt or cut off; fetch it again"):
            suites.questions(str(path))


def test_a_limit_counts_within_each_suite_and_category(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", *(turns(c, str(i)) for i in range(4) for c in ("qa", "rag")))
    second = write(tmp_path / "b.jsonl", *({"prompt": str(i)} for i in range(4)))
    found = suites.questions(f"{first},{second},{first}", 2)
    assert [(q.suite, q.category, q.turns[0]) for q in found] == [
        ("a", "qa", "0"),
        ("a", "rag", "0"),
        ("a", "qa", "1"),
        ("a", "rag", "1"),
        ("b", "", "0"),
        ("b", "", "1"),
    ]


def test_a_suite_may_have_a_limit_of_its_own(tmp_path: Path) -> None:
    first, second = (write(tmp_path / f"{name}.jsonl", *({"prompt": str(i)} for i in range(4))) for name in "ab")
    found = suites.questions(f"{first}:3,{second}", 1)
    assert [(q.suite, q.turns[0]) for q in found] == [("a", "0"), ("a", "1"), ("a", "2"), ("b", "0")]
    for wrong in (f"{first}:0", f"{first}:x", f"{first}:"):
        with pytest.raises(BadInput):
            suites.questions(wrong, 1)


@pytest.mark.parametrize(
    "line",
    [
        "word",
        "[1]",
        "3",
        '{"text": "x"}',
        '{"turns": []}',
        '{"turns": ["x", " "]}',
        '{"turns": "x"}',
        '{"prompt": 3}',
        "[" * 100_000,
    ],
)
def test_a_row_that_is_no_question_is_refused_with_its_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(f'{{"prompt": "fine"}}\n\n{line}\n')
    with pytest.raises(BadInput, match=r"odd\.jsonl, line 3: wanted .*; found ") as caught:
        suites.questions(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_without_questions_or_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no questions; wanted .* a field `prompt`, `turns` or `question`"):
        suites.questions(write(tmp_path / "empty.jsonl"))
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not UTF-8"):
        suites.questions(str(tmp_path / "binary.jsonl"))
    with pytest.raises(BadInput, match=r"nosuch\.jsonl cannot be read: No such file"):
        suites.questions(str(tmp_path / "nosuch.jsonl"))
    with pytest.raises(UnknownName, match=r"'nosuch'; there are: FILE\.jsonl, all, .*story"):
        suites.questions("story,nosuch")
