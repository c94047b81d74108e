"""The bench: who is asked what in which order, what is kept, and the arithmetic of its figures."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import TableTarget, draft_for, greedy_text

from engine import bench, models
from engine.bench import journal, markdown, report, runner
from engine.bench.peers import Peer, load_peers
from engine.bench.runner import Cell, Plan, Record, Skipped, Timed, complete_rounds, of_whole_rounds
from engine.config import GenerationConfig
from engine.drafters.costs import RowCost
from engine.errors import BadInput, RunFailed
from engine.models import LoadedModel
from engine.suites import Question
from engine.target import Target

CONFIG = GenerationConfig(max_new_tokens=6, has_detail=False)
SETTINGS = {"model": "table", "config": {"max_new_tokens": 6}, "commit": "abc"}


class CountingPeer(Peer):
    """Answers with the prompt's last token, again and again, and remembers what it was asked."""

    def __init__(self, name: str = "peer") -> None:
        super().__init__(name, None, prompt_lookup_num_tokens=3)
        self.asked: list[list[int]] = []

    def generate(self, prompt_ids: list[int], max_new_tokens: int) -> list[int]:
        self.asked.append(prompt_ids)
        return [prompt_ids[-1]] * max_new_tokens


def plan(*prompts: str, **more: Any) -> Plan:
    questions = [Question("letters", (prompt,)) for prompt in prompts or ("ab", "cde")]
    return Plan({"prompt_lookup": {}}, questions, CONFIG, **more)


def cell(method: str, seconds: float, num_emitted: int = 10, **more: Any) -> Cell:
    known = {"suite": "s", "category": "", "prompt_index": 0, "repeat": 0, "num_turns": 1, "target_passes": None}
    times = {"draft_ms": None, "target_ms": None, "host_ms": None, "is_same_text": True}
    return Cell(**{**known, **times, **more}, method=method, num_emitted=num_emitted, seconds=seconds)


# order


def test_every_contender_has_its_turn_in_every_round_and_plain_always_runs(table_target: TableTarget) -> None:
    peer = CountingPeer()
    asked = plan("ab", "cde", "aa", num_repeats=3, peers=[peer])
    cells = list(bench.run(table_target, asked))
    assert all(isinstance(found, Cell) for found in cells)
    turns = Counter((c.prompt_index, c.repeat, c.method) for c in cast(list[Cell], cells))
    wanted = [(i, r, m) for i in range(3) for r in range(3) for m in ("plain", "prompt_lookup", "peer")]
    assert turns == Counter(wanted)
    assert len(peer.asked) == 9 + 1, "the first run of each contender is a warm-up"


def test_rounds_and_turns_are_shuffled_and_the_same_for_the_same_seed() -> None:
    asked = plan(*"abcdefgh", num_repeats=3, peers=[CountingPeer()])
    assert asked.rounds != sorted(asked.rounds)
    assert sorted(asked.rounds) == [(repeat, index) for repeat in range(3) for index in range(8)]
    assert len({tuple(asked.order(of)) for of in asked.rounds}) == 6, "all orders of three occur in 24 rounds"
    again = plan(*"abcdefgh", num_repeats=3, peers=[CountingPeer()])
    assert (again.rounds, [again.order(of) for of in again.rounds]) == (
        asked.rounds,
        [asked.order(of) for of in asked.rounds],
    )
    assert replace(again, seed=1).rounds != asked.rounds


def test_a_run_is_counted_whole(table_target: TableTarget) -> None:
    cells = {c.method: c for c in bench.run(table_target, plan("abab")) if isinstance(c, Cell)}
    assert cells["plain"].num_emitted == cells["plain"].target_passes == 6
    assert cells["prompt_lookup"].num_emitted == 6
    assert cells["prompt_lookup"].is_same_text
    for found in cells.values():
        inside = (found.draft_ms or 0) + (found.target_ms or 0) + (found.host_ms or 0)
        assert 0 < inside / 1000 <= found.seconds


def test_a_text_that_is_not_plains_is_said_to_be_another(table_target: TableTarget) -> None:
    cells = [c for c in bench.run(table_target, plan(peers=[CountingPeer()])) if isinstance(c, Cell)]
    assert {c.method for c in cells if not c.is_same_text} == {"peer"}


def test_a_run_that_fails_ends_the_bench(table_target: TableTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: object) -> None:
        raise RuntimeError("on fire")

    monkeypatch.setattr("engine.drafters.copying.prompt_lookup.PromptLookup.propose", explode)
    with pytest.raises(RunFailed, match=r"prompt_lookup failed: .*on fire"):
        list(bench.run(table_target, plan()))


# turns


class Scribe:
    """Answers with a word of its own; remembers the prompts."""

    def __init__(self, loaded: LoadedModel, word: str) -> None:
        self.loaded, self.word = loaded, word
        self.heard: list[str] = []

    def __call__(self, prompt_ids: list[int]) -> Timed:
        self.heard.append(self.loaded.tokenizer.decode(prompt_ids))
        word_ids = self.loaded.tokenizer(self.word, add_special_tokens=False)["input_ids"]
        return Timed(([*word_ids, self.loaded.tokenizer.eos_token_id],), 1.0, 3, 0.5, None, 2.0)


def test_each_contender_hears_its_own_answers(model_folder: Path) -> None:
    loaded = models.load(str(model_folder))
    fox, cat = Scribe(loaded, " The fox."), Scribe(loaded, " The cat.")
    for scribe in (fox, cat):
        total = runner.converse(loaded, loaded.encode, ("Who?", "And then?"), scribe, 6)
        assert total is not None
        assert len(total.outputs) == 2
        assert (total.seconds, total.target_passes, total.draft_ms, total.target_ms) == (2.0, 6, 1.0, None)
    assert fox.heard[0] == cat.heard[0] == "<|user|>Who?<|assistant|>"
    assert fox.heard[1] == "<|user|>Who?<|assistant|> The fox.<|end|><|user|>And then?<|assistant|>"
    assert cat.heard[1] == fox.heard[1].replace("fox", "cat")


def test_methods_and_peers_have_the_same_conversation_when_they_decode_greedily(
    model_folder: Path, draft_models: None
) -> None:
    loaded = models.load(str(model_folder), "cpu", "fp32")
    config = replace(CONFIG, max_new_tokens=9)
    peers = load_peers(replace(loaded, draft=str(model_folder)), str(model_folder), config)
    question = Question("fox", ("Tim found a red ball.", "And the dog?", "Why?"), "qa")
    asked = Plan({"prompt_lookup": {}, "draft_model": {"model": "any"}}, [question], config, 1, peers)
    cells = [c for c in bench.run(Target(loaded), asked) if isinstance(c, Cell)]
    assert {c.method for c in cells} == set(asked.contenders)
    assert len(cells) == 6
    assert [peer.options for peer in peers] == [{}, {"prompt_lookup_num_tokens": 15}, {"assistant_model": "target"}]
    for found in cells:
        assert found.is_same_text, found.method
        assert (found.num_turns, found.category) == (3, "qa")
        assert found.num_emitted == cells[0].num_emitted > 9


@pytest.mark.parametrize(
    "asks",
    [
        {"num_beams": 4},
        {"no_repeat_ngram_size": 2, "suppress_tokens": list(range(3, 150)), "bad_words_ids": [[5], [6]]},
        {"do_sample": True, "temperature": 2.0, "repetition_penalty": 1.5, "min_new_tokens": 20},
    ],
    ids=lambda asks: next(iter(asks)),
)
def test_a_peer_decodes_greedily_whatever_its_generation_config_asks_for(
    asks: dict[str, Any], model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "copy")
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | asks))
    loaded = replace(models.load(str(model_folder), "cpu", "fp32"), draft=str(folder))
    prompt_ids = loaded.encode("Tim found a red ball.")
    wanted = load_peers(loaded, str(model_folder), CONFIG)[0].generate(prompt_ids, 10)
    for peer in load_peers(loaded, str(folder), CONFIG):
        assert peer.generate(prompt_ids, 10) == wanted, peer.name


def test_a_chat_template_with_a_clock_is_read_once_a_conversation() -> None:
    clock = itertools.count()
    encode = runner.encoded_once(lambda messages: [next(clock), len(messages)])
    first, second = [{"role": "user", "content": "Hi."}], [{"role": "user", "content": "Ho."}]
    assert [encode(first), encode(second), encode(first), encode([*first, *second])] == [[0, 1], [1, 1], [0, 1], [2, 2]]
    encode(first).append(9)
    assert encode(first) == [0, 1]


def test_all_contenders_of_a_bench_read_the_same_prompt(
    table_target: TableTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(LoadedModel, "encode", lambda self, said: [0, 1, next(clock) % 5])
    peer = CountingPeer()
    cells = [c for c in bench.run(table_target, plan("ab", "cd", num_repeats=2, peers=[peer])) if isinstance(c, Cell)]
    assert all(c.is_same_text for c in cells if c.method != "peer")
    assert len(peer.asked) == 5
    assert len({tuple(ids) for ids in peer.asked[1:]}) == 2, "two questions, whatever the time"


@pytest.mark.parametrize("wrong_turn", [None, 0, 1])
def test_the_same_text_is_the_same_in_every_turn(
    wrong_turn: int | None, table_target: TableTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoadedModel, "encode", lambda self, said: [0, 1, len(said)])

    class Copier(CountingPeer):
        """Answers as plain decoding does, but for one turn."""

        def generate(self, prompt_ids: list[int], max_new_tokens: int) -> list[int]:
            answer = greedy_text(table_target, prompt_ids, max_new_tokens)[len(prompt_ids) :]
            self.asked.append(prompt_ids)
            is_wrong = len(self.asked) - 2 == wrong_turn  # the first answer is the warm-up's
            return [*answer[:-1], (answer[-1] + is_wrong) % 5]

    asked = Plan({}, [Question("letters", ("ab", "cd"))], CONFIG, 1, [Copier()])
    cells = [c for c in bench.run(table_target, asked) if isinstance(c, Cell)]
    assert {c.method: c.is_same_text for c in cells} == {"plain": True, "peer": wrong_turn is None}


def test_peers_refuse_what_they_cannot_decode(model_folder: Path) -> None:
    loaded = models.load(str(model_folder))
    for changed in ({"temperature": 0.7}, {"repetition_penalty": 1.1}, {"stop_strings": ("x",)}):
        with pytest.raises(BadInput, match="--peers needs temperature 0"):
            load_peers(loaded, str(model_folder), replace(CONFIG, **changed))


def test_a_question_that_does_not_fit_is_skipped_once_and_counted(table_target: TableTarget) -> None:
    fits, too_long = "a" * 58, "a" * 59  # 64 tokens of context, 6 of answer
    asked = plan(too_long, fits, num_repeats=2)
    records = list(bench.run(table_target, asked))
    assert [r for r in records if isinstance(r, Skipped)] == [Skipped("letters", "", 0)]
    assert Counter(r.prompt_index for r in records if isinstance(r, Cell)) == {1: 4}
    assert (asked.num_records([]), asked.num_records(records)) == (8, len(records))
    found = bench.summarise(records, SETTINGS, asked, (0, []))
    assert found.skipped == [{"suite": "letters", "category": "", "num_questions": 1}]
    assert found.is_complete
    assert markdown.skipped_lines(found.skipped) == ["Skipped, too long for the context: 1 of letters."]
    with pytest.raises(BadInput, match="No question fits: the context holds 64 tokens"):
        list(bench.run(table_target, plan(too_long)))


def test_a_later_turn_that_does_not_fit_skips_the_question(model_folder: Path) -> None:
    loaded = models.load(str(model_folder), "cpu", "fp32")
    question = Question("fox", ("Tim found a red ball.", "word " * 200))
    records = list(bench.run(Target(loaded), Plan({}, [question, Question("fox", ("Hi.",))], CONFIG)))
    assert [r.prompt_index for r in records if isinstance(r, Skipped)] == [0]
    assert [r.prompt_index for r in records if isinstance(r, Cell)] == [1]


# going on


def interrupted(stream: Iterator[Record], after: int) -> list[Record]:
    return [next(stream) for _ in range(after)]


def test_an_interrupted_bench_goes_on_where_its_last_whole_round_ended(
    table_target: TableTarget, tmp_path: Path
) -> None:
    path, asked = tmp_path / "bench.jsonl", plan("a" * 60, *"abcd", num_repeats=2)
    first = interrupted(journal.keep(path, SETTINGS, [], bench.run(table_target, asked)), 6)
    whole = of_whole_rounds(first, asked)
    assert len(first) - len(whole) == 1, "a cell of the round that was broken off"
    with path.open("a") as file:
        file.write('{"cell": {"suite": "torn')
    finished = journal.read(path, SETTINGS, asked)
    assert finished == whole
    rest = list(journal.keep(path, SETTINGS, finished, bench.run(table_target, asked, finished)))
    assert complete_rounds([*finished, *rest], asked) == set(asked.rounds)
    cells = [r for r in [*finished, *rest] if isinstance(r, Cell)]
    assert len(cells) == len({(c.prompt_index, c.repeat, c.method) for c in cells}) == 16
    assert sum(isinstance(r, Skipped) for r in [*finished, *rest]) == 1
    assert journal.read(path, SETTINGS, asked) == [*finished, *rest]
    before = path.read_text()
    assert (
        list(journal.keep(path, SETTINGS, [*finished, *rest], bench.run(table_target, asked, [*finished, *rest]))) == []
    )
    assert path.read_text() == before


def test_each_run_is_in_the_file_before_the_next_one_starts(table_target: TableTarget, tmp_path: Path) -> None:
    path, seen = tmp_path / "bench.jsonl", 1
    for _ in journal.keep(path, SETTINGS, [], bench.run(table_target, plan())):
        seen += 1
        assert len(path.read_text().splitlines()) == seen


def test_a_bench_with_other_settings_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    list(journal.keep(path, SETTINGS, [], iter(())))
    assert journal.read(path, SETTINGS, plan()) == []
    other = {**SETTINGS, "config": {"max_new_tokens": 7}, "dtype": "float32"}
    with pytest.raises(BadInput) as caught:
        journal.read(path, other, plan())
    assert "config.max_new_tokens was 6 and is 7; dtype was None and is float32" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["hello\n", "[]\n", '{"cells": []}\n', '{"settings": {}}\n{"cell": {"seconds": 1}}\n'])
def test_a_file_of_another_kind_is_refused_and_stays_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match="holds no unfinished bench"):
        journal.read(path, {}, plan())
    assert path.read_text() == text


def test_no_file_and_an_empty_file_are_a_start(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "new.jsonl", SETTINGS, plan()) == []
    (tmp_path / "empty.jsonl").touch()
    assert journal.read(tmp_path / "empty.jsonl", SETTINGS, plan()) == []


def test_settings_tell_models_questions_and_methods_apart() -> None:
    def of(seed: int, **more: Any) -> dict[str, Any]:
        return report.settings(draft_for(8, 64, seed), plan(**more))

    assert json.loads(json.dumps(of(7))) == of(7)
    assert of(7)["weights"] != of(8)["weights"]
    assert of(7, num_repeats=2) != of(7)
    other = report.settings(draft_for(8, 64, 7), plan("ab", "cdd"))
    assert other["questions"] != of(7)["questions"]
    assert of(7)["contenders"] == {"plain": {}, "prompt_lookup": {}}
    assert of(7, peers=[CountingPeer()])["contenders"]["peer"] == {"prompt_lookup_num_tokens": 3}


# figures


def test_speedup_is_paired_and_spec_benchs_is_a_ratio_of_means() -> None:
    plain = [cell("plain", 1.0, 10, prompt_index=i, target_passes=10) for i in range(3)]
    ours = [cell("lookup", s, 20, prompt_index=i, target_passes=8) for i, s in enumerate((1.0, 0.5, 2.0))]
    theirs = [cell("generate", 2.0, 10, prompt_index=i, is_same_text=i > 0) for i in range(3)]
    found = {row.method: row for row in report.to_rows([*ours, *plain, *theirs])}
    row = found["lookup"]
    assert row.speedup == 2.0  # ratios 2, 4 and 1
    assert row.spec_bench_speedup == pytest.approx((20 + 40 + 10) / 3 / 10)
    assert row.spec_bench_speedup_over_generate == pytest.approx((20 + 40 + 10) / 3 / 5)
    assert row.block_efficiency == 60 / 24
    assert row.speedup_per_block_efficiency == 2.0 / 2.5
    assert found["plain"].speedup == found["plain"].spec_bench_speedup == found["plain"].block_efficiency == 1.0
    assert (found["generate"].block_efficiency, found["generate"].same_text) == (None, "2/3")
    alone = next(row for row in report.to_rows([*ours, *plain]) if row.method == "lookup")
    assert alone.spec_bench_speedup_over_generate is None


def test_repeats_are_paired_with_the_plain_run_of_their_round() -> None:
    """Machines change from round to round: 1 s and 4 s against 0.5 s and 2 s is twice as fast, both times."""
    cells = [cell("plain", seconds, repeat=i) for i, seconds in enumerate((1.0, 4.0))]
    cells += [cell("fast", seconds, repeat=i) for i, seconds in enumerate((0.5, 2.0))]
    assert {row.method: row.speedup for row in report.to_rows(cells)} == {"plain": 1.0, "fast": 2.0}


def test_the_time_inside_the_steps_is_shared_out() -> None:
    times = {"draft_ms": 1.0, "target_ms": 2.0, "host_ms": 1.0}
    cells = [cell("plain", 1.0, prompt_index=i) for i in range(2)]
    cells += [cell("fast", 1.0, prompt_index=i, **times) for i in range(2)]
    plain, fast = report.to_rows(cells)
    assert (fast.draft_share, fast.target_share, fast.host_share) == (0.25, 0.5, 0.25)
    assert (plain.draft_share, plain.target_share, plain.host_share) == (None, None, None)


def test_the_interval_is_of_95_percent() -> None:
    assert report._interval([float(ratio) for ratio in range(1, 21)]) == (6.5, 14.5)


def test_repeats_of_a_prompt_are_one_prompt() -> None:
    cells = [cell("plain", 1.0, repeat=i) for i in range(3)]
    cells += [cell("fast", seconds, repeat=i) for i, seconds in enumerate((1.0, 0.5, 0.25))]
    row = next(row for row in report.to_rows(cells) if row.method == "fast")
    assert (row.num_prompts, row.num_runs, row.speedup) == (1, 3, 2.0)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20))
def test_the_interval_encloses_the_median_and_needs_six_prompts(ratios: list[float]) -> None:
    low, high = report._interval(ratios)
    if low is None or high is None:
        assert len(ratios) < 6
    else:
        assert min(ratios) <= low <= statistics.median(ratios) <= high <= max(ratios)
        assert len(ratios) >= 6


def test_a_suite_with_categories_has_a_row_for_each_and_for_the_whole() -> None:
    places = [("s", "rag"), ("s", "qa"), ("s", "qa"), ("t", "only")]
    cells = [
        cell(method, seconds, suite=suite, category=category, prompt_index=i)
        for i, (suite, category) in enumerate(places)
        for method, seconds in (("plain", 1.0), ("fast", 0.5))
    ]
    found = report.to_rows(reversed(cells))
    assert [(row.suite, row.category, row.method) for row in found] == [
        *(("s", c, m) for c in ("", "rag", "qa") for m in ("fast", "plain")),
        *(("t", "", m) for m in ("fast", "plain")),
    ]
    assert [row.num_prompts for row in found if row.method == "fast"] == [3, 1, 2, 1]


def full_report(**changes: Any) -> dict[str, Any]:
    """A report over two categories, as JSON reads it."""
    machine = {"processor": "Abacus", "num_threads": 2, "instructions": "beads", "torch": "2", "transformers": "5"}
    settings = {"model": "toy", "dtype": "float32", "device": "cpu", "machine": machine, "commit": "abc"}
    config = {"temperature": 0.0, "max_new_tokens": 6}
    cells = [
        cell(m, s, category=c, prompt_index=i, target_passes=p)
        for i, c in enumerate(("rag", "qa"))
        for m, s, p in (("plain", 1.0, 10), ("fast", 0.5, 4), ("generate", 2.0, None))
    ]
    asked = Plan({"fast": {}}, [Question("s", ("x",))] * 2, CONFIG, peers=[CountingPeer("generate")])
    costs = [RowCost(1, 4.0, 1.0), RowCost(8, 6.0, 1.5)]
    found = bench.summarise(cells, {**settings, "config": config}, asked, (256, costs), "python -m engine bench")
    return cast(dict[str, Any], json.loads(json.dumps({**found.to_dict(), **changes})))


def test_markdown_carries_what_the_figures_have_to_be_read_with() -> None:
    text = bench.to_markdown(full_report())
    for said in ("Abacus (2 threads, beads)", "float32", "`toy`", "torch 2", "commit abc", "at most 6 tokens"):
        assert said in text
    assert "| s | `fast` | 20 | 2.00× | 2.50 | 0.80 | – | 2/2 |" in text
    assert "at 256 tokens of context: 1 → 4 ms (1.00×), 8 → 6 ms (1.50×)." in text
    assert "| method | rag | qa | #mean accepted tokens | overall | overall over `generate` |" in text
    assert "| `fast` | 2.00 / 2.00 | 2.00 / 2.00 | 2.50 | 2.00 / 2.00 | 4.00× |" in text
    assert "1024 new tokens" in text
    assert "Interrupted" not in text
    assert "Interrupted" in bench.to_markdown(full_report(is_complete=False))


def test_every_figure_of_a_row_is_defined() -> None:
    said = " ".join(report.DEFINITIONS) + " " + " ".join(report.DEFINITIONS.values())
    plain_words = {"suite", "category", "method", "num_prompts", "num_runs"}
    assert [name for name in full_report()["rows"][0] if name not in plain_words and name not in said] == []


def test_rounds_that_were_broken_off_do_not_count() -> None:
    asked = plan("a", "b")
    cells = [cell("plain", 1.0), cell("prompt_lookup", 0.5), cell("prompt_lookup", 0.1, prompt_index=1)]
    found = bench.summarise(cells, SETTINGS, asked, (0, []))
    assert not found.is_complete
    assert {row.method: row.speedup for row in found.rows} == {"plain": 1.0, "prompt_lookup": 2.0}
