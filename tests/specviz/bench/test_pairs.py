"""Two reports side by side: known ratios, and a warning where something else differs too."""

from __future__ import annotations

from typing import Any

from benching import cell, report

from specviz.bench.pairs import DEFINITION, UNPAIRED, beside

SAME = {"questions": {"digest": "d"}, "dtype": "bf16", "config": {"max_new_tokens": 8}}


def measured(*seconds: float, model: str = "toy", **fields: Any) -> dict[str, Any]:
    """Plain decoding takes 2 s on every prompt."""
    plain = [cell("plain", 2.0, prompt_index=i) for i in range(len(seconds))]
    fast = [cell("fast", each, prompt_index=i) for i, each in enumerate(seconds)]
    return report(model, *plain, *fast, **SAME | fields)


def test_ratios_are_of_the_same_prompt() -> None:
    told = beside(measured(1.0, 4.0, 1.0), measured(0.5, 1.0, 1.0))
    assert told["rows"] == [
        ["s", "fast", "10.0", "10.0", "2.00×", "3", "1.00", "1.00"],
        ["s", "plain", "5.0", "5.0", "1.00×", "3", "1.00", "1.00"],
    ]
    assert (told["notes"], told["isWarned"]) == ([DEFINITION], False)


def test_from_six_prompts_on_there_is_an_interval() -> None:
    told = beside(measured(*[1.0] * 6), measured(*[0.5] * 6))
    assert told["rows"][0][4:6] == ["2.00× [2.00, 2.00]", "6"]


def test_repeats_of_a_prompt_count_once_and_prompts_of_one_side_not_at_all() -> None:
    first, second = measured(1.0, 1.0), measured(0.5)
    second["cells"] += [{**second["cells"][-1], "repeat": n, "seconds": s} for n, s in ((1, 0.5), (2, 100.0))]
    assert beside(first, second)["rows"][0][4:6] == ["2.00×", "1"]


def test_what_else_differs_is_said() -> None:
    told = beside(measured(1.0), measured(1.0, model="<b>", dtype="fp32", config={"max_new_tokens": 9}))
    assert "model (toy, then <b>), dtype (bf16, then fp32), max_new_tokens (8, then 9)" in told["notes"][0]
    assert told["isWarned"]


def test_other_questions_make_no_pairs() -> None:
    for second in (measured(0.5, questions={"digest": "e"}), measured(0.5, questions=None)):
        told = beside(measured(1.0), second)
        assert told["rows"][0][3:6] == ["20.0", "–", "–"]
        assert (told["notes"], told["isWarned"]) == ([UNPAIRED], True)


def test_nothing_in_common_is_a_sentence() -> None:
    other = measured(1.0)
    for each in other["cells"]:
        each["suite"] = "t"
    assert beside(measured(1.0), other)["notes"] == ["The two have no method of the same suite in common."]
