"""Turns of a conversation: what each contender of a bench hears and may decode."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import TableTarget, greedy_text

from engine import bench, models
from engine.bench import markdown, runner
from engine.bench.peers import load_peers
from engine.bench.runner import Cell, Plan, Skipped, Timed
from engine.errors import BadInput
from engine.models import LoadedModel, loading
from engine.runtime import prepared
from engine.suites import Question
from engine.target import Target
from tests.engine.bench.cells import CONFIG, SETTINGS, CountingPeer, plan


@pytest.fixture(autouse=True)
def without_llama(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where its package is not installed."""
    monkeypatch.setitem(sys.modules, "llama_cpp", None)


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


def test_where_weights_are_not_packed_there_is_one_copy_of_them(
    model_folder: Path, draft_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where a second copy would not fit."""
    order = loading._Order(str(model_folder), torch.device("cpu"), torch.float32)
    loaded = replace(loading._load(order), draft=str(draft_folder))
    wanted = load_peers(loaded, str(model_folder), CONFIG)[0].generate(loaded.encode("Tim found"), 8)
    monkeypatch.setattr(prepared, "runs_compiled", lambda device: False)
    monkeypatch.setattr("engine.bench.peers.runs_compiled", lambda device: False)
    monkeypatch.setattr("engine.target.runs_compiled", lambda device: False)
    target = Target(loaded)
    peers: list[Any] = load_peers(loaded, str(model_folder), CONFIG)
    own = {weight.data_ptr() for weight in loaded.model.parameters()}
    assert {weight.data_ptr() for weight in peers[0]._model.parameters()} == own
    for peer in peers:
        assert peer.generate(loaded.encode("Tim found"), 8) == wanted, peer.name
    assert greedy_text(target, loaded.encode("Tim found"), 8)[-8:] == wanted, "its attention is still the engine's"
