"""Training from a folder of texts to a loadable model, in seconds, on shapes made small."""

from __future__ import annotations

import copy
import itertools
import json
import lzma
import math
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from tokenizers.processors import TemplateProcessing

from engine import cli, drafters, models
from engine.config import GenerationConfig
from engine.errors import BadInput
from engine.loop import generate
from engine.target import Target
from engine.training import activations, corpus, pretrain, recipes, runs, tasks, trainer, written
from engine.training.corpus import Document
from engine.training.tokenizer import train_tokenizer

PLACES = ("park", "forest", "garden", "beach", "farm", "lake")
NAMES = ("Tim", "Lily", "Ben", "Mia", "Tom", "Anna")


def story(number: int) -> str:
    name, place = NAMES[number % 6], PLACES[number // 6 % 6]
    return (
        f"Once upon a time there was a small fox named {name}. {name} went to the {place} with ball number {number}. "
        f"One day {name} found a friend. They played all day. {name} learned that sharing makes everyone happy."
    )


STORIES = [story(number) for number in range(120)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "stories.txt").write_text("\n\n\n".join(STORIES))
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of the same kind, a thousand times smaller."""
    monkeypatch.setattr(runs, "VOCAB_SIZE", 320)
    for module in (runs, pretrain):
        monkeypatch.setattr(module, "MAX_CONTEXT", 256)
    monkeypatch.setattr(written, "MAX_NEW_TOKENS", 24)
    for key, recipe in recipes.RECIPES.items():
        shape = recipes.Shape(hidden_size=32, num_layers=1, num_heads=2, intermediate_size=48)
        stages = (recipes.Stage(0.0, 32, has_tasks=False), recipes.Stage(0.3, 256))
        tiny = replace(
            recipe, shape=shape, num_tokens=60_000, batch_tokens=512, stages=stages, limit_minutes=1.0, num_written=20
        )
        monkeypatch.setitem(recipes.RECIPES, key, tiny)


def train(*words: object) -> int:
    return cli.main(["train", *(str(word) for word in words)])


def losses(out: Path, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "loss.jsonl").read_text().splitlines()]
    return [row for row in rows if kind in row]


def test_a_folder_of_texts_becomes_a_model_that_the_engine_runs(
    small: None, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, draft = tmp_path / "target", tmp_path / "draft"
    assert train("target", "--data", data, "--out", target) == 0
    assert train("draft", "--data", data, "--out", draft, "--target", target, "--limit-minutes", 0.1) == 0
    acceptance = json.loads((draft / "acceptance.json").read_text())
    assert {*acceptance["story"]} == {"before", "after"}
    assert all(0 <= share <= 1 for share in acceptance["story"]["after"]["by_position"])
    assert (target / "loss.svg").read_text().count("<polyline") == 2
    assert "![Loss over training tokens](loss.svg)" in (draft / "README.md").read_text()
    assert "agreement" in losses(draft, "heldout_loss")[-1]
    assert re.search("held-?out.loss", capsys.readouterr().out)
    assert losses(target, "heldout_loss")[-1]["heldout_loss"] < math.log(320) - 1
    found = models.load(str(target), "cpu", "fp32")
    assert found.max_context == 256
    assert found.tokenizer.chat_template
    assert models.load_draft(models.DraftSpec(str(draft)), found).dtype == torch.float32
    config = GenerationConfig(max_new_tokens=5)
    assert len(list(generate(Target(found), drafters.create("plain", {}, Target(found)), "A story", config))) == 8


@pytest.fixture
def frozen(model_folder: Path) -> tuple[Any, Any]:
    return runs.load_target(str(model_folder), "cpu")


def test_stored_hidden_states_give_the_targets_own_scores(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    model, _ = frozen
    rows = torch.randint(0, 50, (5, 9), generator=torch.Generator().manual_seed(0))
    activations.compute(model, rows, tmp_path)
    (ids, hidden), *more = activations.shards(tmp_path, seed=0)
    assert not more
    assert torch.equal(ids, rows)
    expected = model(input_ids=rows[:, :-1]).logits
    found = model.get_output_embeddings()(hidden.to(model.dtype))
    torch.testing.assert_close(found.float(), expected.float(), atol=0.05, rtol=0.02)
    before = (tmp_path / "00000.safetensors").stat().st_mtime_ns
    activations.compute(model, rows, tmp_path)
    assert (tmp_path / "00000.safetensors").stat().st_mtime_ns == before


def test_the_disk_that_hidden_states_need_is_said_first(
    frozen: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(activations, "BYTES_PER_NUMBER", 10**15)
    with pytest.raises(BadInput, match="MB free"):
        activations.compute(frozen[0], torch.zeros(2, 3, dtype=torch.long), tmp_path)
    assert "take" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_target_writes_without_the_habits_of_its_generation_config(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    """Penalties and bans that the engine does not decode with; each row ends behind the first of several ends."""
    model, tokenizer = frozen
    prompts = written.prompts([Document(text) for text in STORIES], tokenizer, 6, seed=1)
    how = {"seed": 1, "max_new_tokens": 12, "is_always_greedy": True}
    plain = written.write(model, tokenizer, prompts, tmp_path / "plain.jsonl", **how)
    answers = [row[len(prompt) :] for row, prompt in zip(plain, prompts, strict=True)]
    before = model.generation_config
    end, banned = answers[0][2], [token for token in range(9, 40) if token in answers[1]][:1]
    habits = {"repetition_penalty": 3.0, "suppress_tokens": banned, "no_repeat_ngram_size": 1, "num_beams": 2}
    model.generation_config = transformers.GenerationConfig(eos_token_id=[0, end], **habits)
    try:
        found = written.write(model, tokenizer, prompts, tmp_path / "habits.jsonl", **how)
        assert model.generation_config.repetition_penalty == 3.0
    finally:
        model.generation_config = before
    for row, prompt, answer in zip(found, prompts, answers, strict=True):
        length = next((place + 1 for place, token in enumerate(answer) if token in (0, end)), len(answer))
        assert row == [*prompt, *answer[:length]]


def test_text_is_made_for_a_tokenizer_without_template_or_end(frozen: tuple[Any, Any]) -> None:
    tokenizer = copy.deepcopy(frozen[1])
    chat = [{"role": "user", "content": "Tim"}, {"role": "assistant", "content": "ran"}]
    tokenizer.chat_template = None
    assert tasks.chat_text(chat, tokenizer) == f"Tim\n\nran{tokenizer.eos_token}"
    tokenizer.eos_token = None
    assert tasks.chat_text(chat, tokenizer) == "Tim\n\nran"
    # What stands before every text stands there in training too.
    begin = ("<|user|>", tokenizer.convert_tokens_to_ids("<|user|>"))
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<|user|> $A", special_tokens=[begin])
    assert pretrain.encode([chat], tokenizer)[0] == tokenizer("Tim\n\nran")["input_ids"]
    assert tasks.prompt_ids(chat[:1], tokenizer)[0] == begin[1] == pretrain.encode([chat], tokenizer)[0][0]


def test_what_the_target_writes_goes_on_where_its_file_ends(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = frozen
    prompts = written.prompts([Document(text) for text in STORIES], tokenizer, 60, seed=1)
    assert len(prompts) == 60
    whole = written.write(model, tokenizer, prompts, tmp_path / "whole.jsonl", seed=1, max_new_tokens=6)
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "part.jsonl").write_text("".join(lines[: written.BATCH_ROWS]))
    assert written.write(model, tokenizer, prompts, tmp_path / "part.jsonl", seed=1, max_new_tokens=6) == whole
    assert all(row[: len(prompt)] == prompt for row, prompt in zip(whole, prompts, strict=True))
    assert all(len(prompt) < len(row) <= len(prompt) + 6 for row, prompt in zip(whole, prompts, strict=True))


def test_a_target_without_an_end_writes_to_the_limit(
    frozen: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = frozen
    monkeypatch.setattr(model.generation_config, "eos_token_id", None)
    tokenizer: Any = SimpleNamespace(eos_token_id=None)
    assert models.end_ids(model, tokenizer) == ()
    rows = written.write(model, tokenizer, [[5, 6], [7]], tmp_path / "a", seed=1, max_new_tokens=4)
    assert [len(row) for row in rows] == [6, 5]


def test_an_answer_goes_to_its_first_end() -> None:
    assert written._up_to_end([5, 6, 7, 8, 6], (8, 6)) == [5, 6]
    assert written._up_to_end([6], (6,)) == [6]
    assert written._up_to_end([5, 7], (8, 6)) == written._up_to_end([5, 7], ()) == [5, 7]


def test_frequent_tokens_make_up_their_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "written.jsonl"
    path.write_text("[7, 7, 7, 7, 7]\n[7, 3, 3, 9]\n[1]\n")
    assert written.frequent_tokens(path, 0.6) == [7]
    assert written.frequent_tokens(path, 0.8) == [7, 3]
    assert sorted(written.frequent_tokens(path, 1.0)) == [1, 3, 7, 9]


def test_training_goes_on_from_its_checkpoint(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipes.RECIPES["target", "cpu"], num_tokens=10**9)
    monkeypatch.setitem(recipes.RECIPES, ("target", "cpu"), recipe)
    out = tmp_path / "target"
    assert train("target", "--data", data, "--out", out, "--limit-minutes", 0.02) == 0
    before = torch.load(out / "checkpoint.pt", weights_only=True)["progress"]
    assert train("target", "--data", data, "--out", out, "--limit-minutes", 0.05, "--resume") == 0
    after = torch.load(out / "checkpoint.pt", weights_only=True)["progress"]
    assert after["num_steps"] > before["num_steps"] > 0
    assert after["num_tokens"] == 512 * after["num_steps"]
    assert after["seconds"] > before["seconds"]


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as the step's figures are shown."""
    show = trainer.Trainer._show

    def shown(run: trainer.Trainer, *words: Any) -> None:
        show(run, *words)
        if run.progress.num_steps == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "_show", shown)


def test_a_run_stopped_and_resumed_ends_in_the_same_bits(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(recipes.RECIPES["target", "cpu"], num_tokens=40 * 512, limit_minutes=1000.0)
    monkeypatch.setitem(recipes.RECIPES, ("target", "cpu"), recipe)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train("target", "--data", data, "--out", whole) == 0
    with monkeypatch.context() as interrupted:
        stop_at(17, interrupted)
        assert train("target", "--data", data, "--out", parts) == 0
    assert "--resume" in capsys.readouterr().out
    assert models.load(str(parts), "cpu", "fp32").max_context == 256
    assert train("target", "--data", data, "--out", parts, "--resume") == 0
    one, other = (torch.load(out / "checkpoint.pt", weights_only=True) for out in (whole, parts))
    assert one["progress"]["num_steps"] == other["progress"]["num_steps"] == 40
    for name, tensor in one["model"].items():
        assert torch.equal(tensor, other["model"][name]), name


def test_a_draft_model_stopped_while_it_is_pretrained_is_not_aligned_yet(
    small: None, data: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("draft", "--data", data, "--out", tmp_path / "draft", "--target", model_folder, "--limit-minutes", 0.1)
    with monkeypatch.context() as interrupted:
        stop_at(3, interrupted)
        assert train(*words) == 0
    assert (tmp_path / "draft/pretrained/checkpoint.pt").is_file()
    assert not (tmp_path / "draft/written.jsonl").exists()
    assert train(*words, "--resume") == 0
    assert models.load(str(tmp_path / "draft"), "cpu", "fp32").max_context == 256


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "target"
    with monkeypatch.context() as interrupted:
        stop_at(3, interrupted)
        assert train("target", "--data", data, "--out", out) == 0
    kept = (out / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(trainer.Trainer, "_accumulate_gradients", lambda *_: float("nan"))
    assert train("target", "--data", data, "--out", out, "--resume") != 0
    assert "The loss is nan at step 3; the last checkpoint is kept" in capsys.readouterr().err
    assert (out / "checkpoint.pt").read_bytes() == kept


def test_a_disk_without_room_is_refused_before_training(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "BYTES_PER_PARAMETER", 10**15)
    assert train("target", "--data", data, "--out", tmp_path / "new") == 2
    assert "MB free" in capsys.readouterr().err


def test_going_on_without_a_checkpoint_is_refused(
    small: None, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("target", "--data", data, "--out", tmp_path / "new", "--resume") == 2
    assert "no checkpoint" in capsys.readouterr().err


def no_file(folder: Path) -> None:
    pass


def an_empty_file(folder: Path) -> None:
    (folder / "a.txt").write_text(" \n")


def another_kind_of_file(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG")


def binary(folder: Path) -> None:
    (folder / "a.txt").write_bytes(bytes(range(256)))


def binary_that_decodes(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"text\x00text")


def broken_json(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"text": "good"}\n{"text": \n')


def json_that_is_no_object(folder: Path) -> None:
    (folder / "a.jsonl").write_text('["text"]\n')


def json_whose_text_is_a_number(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"text": 5}\n')


def not_compressed(folder: Path) -> None:
    (folder / "a.jsonl.xz").write_bytes(b"no xz")


def cut_off(folder: Path) -> None:
    (folder / "a.jsonl.xz").write_bytes(lzma.compress(json.dumps({"text": "a" * 999}).encode())[:-20])


SPOILT = [no_file, an_empty_file, another_kind_of_file, binary, binary_that_decodes, broken_json]
SPOILT += [json_that_is_no_object, json_whose_text_is_a_number, not_compressed, cut_off]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_folder_without_readable_text_is_refused_with_a_sentence(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    spoil(tmp_path)
    with pytest.raises(BadInput) as caught:
        corpus.read_folder(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_documents_are_read_from_every_kind_of_file_without_duplicates(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One fox.\n\n\nTwo  “foxes”—\tand more.<|endoftext|>Three.")
    (tmp_path / "b.jsonl").write_text('{"text": "ONE FOX!"}\n{"story": "Four.", "prompt": "Say four."}\n{"other": 1}\n')
    (tmp_path / "c.jsonl.xz").write_bytes(lzma.compress(b'{"text": "Five."}\n'))
    found = corpus.read_folder(tmp_path)
    assert [document.text for document in found] == ["One fox.", 'Two "foxes" - and more.', "Three.", "Four.", "Five."]
    assert found[3].prompt == "Say four."
    for path in tmp_path.glob("*.*"):
        data = path.read_bytes()
        path.write_bytes(lzma.compress(BOM_UTF8 + lzma.decompress(data)) if path.suffix == ".xz" else BOM_UTF8 + data)
    assert corpus.read_folder(tmp_path) == found


def test_the_held_out_split_is_disjoint_and_a_document_never_changes_sides() -> None:
    documents = [Document(text) for text in STORIES * 4]
    documents = [Document(f"{document.text} {i}") for i, document in enumerate(documents)]
    train_side, heldout = corpus.split_heldout(documents)
    assert heldout
    assert not set(train_side) & set(heldout)
    assert len(train_side) + len(heldout) == len(documents)
    some = documents[::3]
    fewer_train, fewer_heldout = corpus.split_heldout(some[::-1])
    assert set(fewer_heldout) == set(heldout) & set(some)
    assert set(fewer_train) == set(train_side) & set(some)


def test_few_documents_still_leave_one_to_hold_out() -> None:
    train_side, heldout = corpus.split_heldout([Document("One fox."), Document("Two foxes.")])
    assert len(train_side) == len(heldout) == 1


def test_examples_are_a_pure_function_of_documents_and_seed() -> None:
    documents = [Document(text) for text in STORIES[:30]]
    first, again, other = (list(tasks.examples(documents, seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    answers = {chat[1]["content"] for chat in first}
    assert {document.text for document in documents} <= answers
    assert all([message["role"] for message in chat] == ["user", "assistant"] for chat in first)


def test_a_tokenizer_gives_back_any_text() -> None:
    tokenizer = train_tokenizer(STORIES[:9], 300, 64)
    for text in ("Once upon 😀", " a  b\n\n", "é\u202e漢", STORIES[50]):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    again = train_tokenizer(STORIES[:9], 300, 64)
    assert again.get_vocab() == tokenizer.get_vocab()


def test_the_learning_rate_rises_stays_and_falls() -> None:
    recipe = recipes.RECIPES["target", "cpu"]
    rates = [recipes.learning_rate(recipe, share / 100) for share in range(101)]
    assert max(rates) == recipe.lr
    assert rates[0] < rates[1] < rates[2]
    assert all(after <= before for before, after in itertools.pairwise(rates[2:]))
    assert 0 < rates[-1] < 0.05 * recipe.lr
