"""A narrow draft model of a chat model: what its embeddings begin with, what its loss looks at."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.training import narrow_draft, recipes
from engine.training.packing import IGNORED
from engine.training.pretrain import build_model
from engine.training.recipes import Shape

TOKENIZER: Any = SimpleNamespace(eos_token_id=0)


def test_embeddings_begin_as_far_apart_as_the_targets_where_those_lie_in_as_few_directions() -> None:
    narrow = torch.randn(40, 8)
    table = narrow @ torch.linalg.qr(torch.randn(24, 8)).Q.mT + 3.0
    draft = narrow_draft.begun_with(build_model(Shape(8, 1, 2, 16), TOKENIZER, 40), table)
    found = draft.get_input_embeddings().weight.detach()
    assert draft.get_output_embeddings().weight.data_ptr() == found.data_ptr()
    ratio = torch.pdist(found) / torch.pdist(table)
    assert found.std().item() == pytest.approx(narrow_draft.EMBEDDING_STD, rel=0.05)
    assert ratio.std() / ratio.mean() < 1e-3


def job_of(frequent: list[int]) -> narrow_draft.NarrowDraft:
    torch.manual_seed(1)
    output = torch.nn.Linear(6, 12, bias=False)
    target = SimpleNamespace(get_output_embeddings=lambda: output, config=SimpleNamespace())
    material: Any = SimpleNamespace(
        name="t",
        heldout=[SimpleNamespace(rows=[(1, torch.arange(4), None)])],
        written=Path(),
        target=target,
        tokenizer=TOKENIZER,
        vocab_size=12,
        vocabulary=torch.tensor(frequent),
        batches=lambda recipe, progress: iter([[recipe.batch_tokens]]),
    )
    draft = build_model(Shape(8, 1, 2, 16), TOKENIZER, 12)
    return narrow_draft.NarrowDraft(recipes.RECIPES["narrow_draft", "cpu"], draft, material)


def test_the_loss_is_the_divergence_over_what_is_scored_and_no_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow_draft, "NUM_OTHERS", 0)
    job, scored = job_of([4, 2, 9]), torch.tensor([4, 2, 9])
    ids, hidden = torch.tensor([[1, 4, 2, IGNORED]]), torch.randn(1, 3, 6)
    given = job.model(input_ids=ids[:, :2]).logits[0][:, scored].log_softmax(dim=-1)
    wanted = (hidden[0, :2] @ job.output[scored].mT).softmax(dim=-1)
    expected = (wanted * (wanted.log() - given)).sum(dim=-1).mean()
    assert job.loss(job.model, (ids, hidden)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_other_tokens_are_drawn_anew_and_never_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow_draft, "NUM_OTHERS", 5)
    job = job_of([4, 2, 9])
    drawn = [job._scored().tolist() for _ in range(20)]
    assert all(row[:3] == [4, 2, 9] and len(set(row)) == 8 for row in drawn)
    assert {token for row in drawn for token in row} == set(range(12))


def test_a_step_is_of_as_many_tokens_as_the_recipe_says_and_not_of_a_shard() -> None:
    job = job_of([4, 2, 9])
    assert next(job.batches(recipes.Progress())) == [recipes.RECIPES["narrow_draft", "cpu"].batch_tokens]
