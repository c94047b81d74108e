"""What the target writes for its drafters to learn from."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from engine import models
from engine.training import activations, written
from engine.training.corpus import Document
from tests.engine.training.stories import STORIES


def test_the_target_writes_without_the_habits_of_its_generation_config(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    """Penalties and bans that the engine does not decode with; each row ends behind the first of several ends."""
    model, tokenizer = frozen
    prompts = written.prompts([Document(text) for text in STORIES], tokenizer, 6, seed=1)
    how = {"seed": 1, "max_new_tokens": 12, "is_always_greedy": True}
    plain = written.write(model, tokenizer, prompts, tmp_path / "plain.jsonl", **how)
    answers = [row.ids[row.num_prompt :] for row in plain]
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
        assert row == written.Written([*prompt, *answer[:length]], len(prompt))


def test_what_the_target_writes_goes_on_where_its_file_ends(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = frozen
    prompts = written.prompts([Document(text) for text in STORIES], tokenizer, 60, seed=1)
    assert len(prompts) == 60
    whole = written.write(model, tokenizer, prompts, tmp_path / "whole.jsonl", seed=1, max_new_tokens=6)
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "part.jsonl").write_text("".join(lines[: written.BATCH_ROWS]))
    assert written.write(model, tokenizer, prompts, tmp_path / "part.jsonl", seed=1, max_new_tokens=6) == whole
    assert all(row.ids[: row.num_prompt] == prompt for row, prompt in zip(whole, prompts, strict=True))
    assert all(row.num_prompt < len(row.ids) <= row.num_prompt + 6 for row in whole)


def test_a_target_without_an_end_writes_to_the_limit(
    frozen: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = frozen
    monkeypatch.setattr(model.generation_config, "eos_token_id", None)
    tokenizer: Any = SimpleNamespace(eos_token_id=None)
    assert models.end_ids(model, tokenizer) == ()
    rows = written.write(model, tokenizer, [[5, 6], [7]], tmp_path / "a", seed=1, max_new_tokens=4)
    assert [len(row.ids) for row in rows] == [6, 5]


def test_hidden_states_are_kept_beside_the_text(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    """Rows of the shards hold the texts, each place with the state that a pass over the text alone gives it."""
    model, tokenizer = frozen
    prompts = [[5, 6, 7], [8, 9], [10, 11, 12, 13]]
    how = {"seed": 1, "max_new_tokens": 5, "is_always_greedy": True, "states": tmp_path / "s", "context": 16}
    texts = written.write(model, tokenizer, prompts, tmp_path / "w.jsonl", **how)
    ((ids, hidden),) = activations.shards(tmp_path / "s", seed=1)
    assert (ids >= 0).sum() == sum(len(text.ids) for text in texts)
    for text in texts:
        row, place = next(
            (row, place)
            for row in range(len(ids))
            for place in range(ids.shape[1])
            if ids[row, place : place + len(text.ids)].tolist() == text.ids
        )
        wanted = activations.hidden_states(model, torch.tensor([text.ids]))[0]
        found = hidden[row, place : place + len(text.ids) - 1]
        torch.testing.assert_close(found.float(), wanted.float(), atol=0.05, rtol=0.05)


def test_frequent_tokens_make_up_their_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "written.jsonl"
    texts = ([5, 5, 7, 7, 7, 7, 7], 2), ([7, 3, 3, 9], 0), ([8, 1], 1)
    path.write_text("".join(json.dumps({"ids": ids, "num_prompt": n}) + "\n" for ids, n in texts))
    assert written.frequent_tokens(path, 0.6) == [7]
    assert written.frequent_tokens(path, 0.8) == [7, 3]
    assert sorted(written.frequent_tokens(path, 1.0)) == [1, 3, 7, 9]
