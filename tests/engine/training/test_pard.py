"""PARD's training: its rows are those of a step, which masks are dropped, and a folder of texts becomes a drafter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from model_folders import load, refusal, save_model
from toys import FAMILIES, VOCAB_SIZE, LetterTokenizer, build, output_ids, prompt_ids, stock_logits
from transformers import LlamaConfig

from engine import drafters
from engine.audit import plain_run
from engine.config import GenerationConfig
from engine.loop import generate
from engine.target import Target
from engine.training import pard, recipes, runs, written
from engine.training.packing import IGNORED
from tests.engine.training.stories import STORIES

MASK = VOCAB_SIZE - 1


def test_a_row_scores_what_it_scores_in_a_step() -> None:
    """Text up to its root, as many masks, and nothing of other roots' masks or of the text behind."""
    model = build(FAMILIES["llama"](), attention="sdpa")
    ids = torch.tensor([prompt_ids(14, seed=1), prompt_ids(14, seed=2)])
    roots = torch.tensor([[8, 3, 5], [2, 11, 7]])
    rows = pard.rows_of(13, roots, [3, 2])
    scores = model(input_ids=rows.read(ids, MASK), attention_mask=rows.sees, position_ids=rows.positions).logits
    for text, own in enumerate(roots.tolist()):
        for place, root in enumerate(own):
            alone = stock_logits(model, [*ids[text, : root + 1].tolist(), MASK, MASK])
            assert scores[text, root] == pytest.approx(alone[root], abs=1e-4)
            assert scores[text, 13 + place] == pytest.approx(alone[root + 1], abs=1e-4)
            if place < 2:
                assert scores[text, 16 + place] == pytest.approx(alone[root + 2], abs=1e-4)


def test_a_mask_is_asked_for_the_token_as_far_behind_its_root_and_no_further_than_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pard, "NUM_DRAFTED", 3)
    begin, end = 50, 51
    ids = torch.tensor([[7, begin, 10, 11, 12, 13, end, 8, 9, begin, 20, 21, IGNORED, IGNORED, IGNORED]])
    labels = pard.labels_by_root(ids, (end,), (begin,))[:, 0]
    assert labels.shape == (3, 14)
    x = IGNORED
    assert labels[0].tolist() == [x, x, 11, 12, 13, end, x, x, x, x, 21, x, x, x]
    assert labels[1].tolist() == [x, x, 12, 13, end, x, x, x, x, x, x, x, x, x]
    assert labels[2].tolist() == [x, x, 13, end, x, x, x, x, x, x, x, x, x, x]


def test_masks_are_dropped_by_the_papers_shares_and_never_one_before_one_that_is_kept() -> None:
    labels = torch.full((pard.NUM_DRAFTED, 2, 200), IGNORED)
    labels[:, 0, 50:150] = 1
    labels[:, 1, 30:70] = 1
    rows = pard.drawn(labels, torch.Generator().manual_seed(1))
    nums = [(rows.depths[0] == depth).sum().item() for depth in range(pard.NUM_DRAFTED)]
    assert nums == [200, 70, 49, 34, 24, 20, 20, 20]
    asked = (rows.labels(labels) != IGNORED).tolist()
    for text, (first, last) in enumerate(((50, 150), (30, 70))):
        seen = set(zip(rows.roots[text].tolist(), rows.depths[text].tolist(), strict=True))
        assert all((root, depth - 1) in seen for root, depth in seen if depth > 0)
        masks = rows.depths[text] > 0
        assert len(seen) == rows.roots.shape[1], "no row twice"
        own = rows.roots[text][masks & torch.tensor(asked[text])].tolist()
        assert set(own) <= set(range(first, last))
        assert len(set(own)) == (70 if text == 0 else 40), "places that are asked come first"


def test_another_draw_drops_others() -> None:
    labels = torch.ones(pard.NUM_DRAFTED, 1, 60, dtype=torch.long)
    first, again, other = (pard.drawn(labels, torch.Generator().manual_seed(seed)).roots for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def draft(num_rows: int) -> Any:
    config = LlamaConfig(
        vocab_size=num_rows, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    config.tie_word_embeddings = True
    return build(config)


def test_a_mask_gets_a_row_of_its_own_that_begins_as_the_mean() -> None:
    tokenizer: Any = LetterTokenizer(40)
    given = draft(40)
    table = given.get_input_embeddings().weight.clone()
    found = pard.with_mask(given, tokenizer)
    assert (found.config.pard_token, found.config.spd_type, found.config.vocab_size) == (40, "pard", 48)
    rows = found.get_output_embeddings().weight
    assert torch.equal(rows[:40], table)
    torch.testing.assert_close(rows[40:], table.mean(dim=0).expand(8, -1))


def test_a_row_that_no_token_has_becomes_the_mask_and_one_that_is_named_stays_it() -> None:
    tokenizer: Any = LetterTokenizer(40)
    assert pard.with_mask(draft(64), tokenizer).config.pard_token == 40
    named = draft(64)
    named.config.pard_token = 60
    assert pard.with_mask(named, tokenizer).config.pard_token == 60


def order(target: Path, begin: Path | None = None) -> runs.Order:
    return runs.Order("pard", "cpu", Path("texts"), target=str(target), begin=begin)


def test_what_cannot_be_adapted_is_refused(model_folder: Path, tmp_path: Path) -> None:
    _, tokenizer = runs.load_target(str(model_folder), "cpu")
    assert "--begin" in refusal(lambda: pard.begun(order(model_folder), tokenizer))
    other = save_model(tmp_path / "other", texts=("zebras", "xylophones"))
    assert "vocabulary" in refusal(lambda: pard.begun(order(model_folder, other), tokenizer))


def test_the_loss_is_of_what_is_asked_alone(model_folder: Path, draft_folder: Path) -> None:
    """Scores of the true tokens, by hand; with the target's own distribution for a fifth less than all."""
    target, tokenizer = runs.load_target(str(model_folder), "cpu")
    material: Any = SimpleNamespace(
        name="t",
        heldout=[SimpleNamespace(rows=[(1, torch.arange(4), None)])],
        written=Path(),
        target=target,
        tokenizer=tokenizer,
        vocab_size=len(tokenizer),
        begin_ids=(),
        end_ids=(),
    )
    _, begun = pard.begun(order(model_folder, draft_folder), tokenizer)
    job = pard.MaskFilling(recipes.RECIPES["pard", "cpu"], begun, material)
    ids = torch.tensor([prompt_ids(14, vocab_size=200)])
    ids[0, 12:] = IGNORED
    hidden = torch.randn(1, 13, target.config.hidden_size)
    with torch.no_grad():
        found = job.loss(job.model, (ids, hidden))
        probs = target.lm_head(hidden.to(target.lm_head.weight.dtype)).float().softmax(dim=-1)[0]
        losses = []
        rows = pard.drawn(pard.labels_by_root(ids, (), ()), torch.Generator())
        for root, depth in zip(rows.roots[0].tolist(), rows.depths[0].tolist(), strict=True):
            if not 1 <= root <= 13 - pard.NUM_DRAFTED or root + depth + 1 >= 12:
                continue
            text = [*ids[0, : root + 1].tolist(), *[begun.config.pard_token] * depth]
            scores = begun(input_ids=torch.tensor([text])).logits[0, -1, : len(tokenizer)].log_softmax(dim=-1)
            label = int(ids[0, root + depth + 1])
            losses.append(-(0.8 * (probs[root + depth] * scores).sum() + 0.2 * scores[label]))
    assert found.item() == pytest.approx(float(torch.stack(losses).mean()), rel=2e-2)


def test_a_folder_of_texts_and_a_draft_model_become_a_drafter(
    model_folder: Path, draft_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "texts", tmp_path / "out"
    data.mkdir()
    (data / "stories.txt").write_text("\n\n\n".join(STORIES[:40]))
    monkeypatch.setattr(written, "MAX_NEW_TOKENS", 24)
    recipe = recipes.RECIPES["pard", "cpu"]
    small = replace(recipe, num_tokens=3000, num_written=12, num_text_tokens=2000, stages=(recipes.Stage(0.0, 128),))
    monkeypatch.setitem(recipes.RECIPES, ("pard", "cpu"), small)
    runs.train(runs.Order("pard", "cpu", data, out, str(model_folder), texts="tasks", begin=draft_folder))
    acceptance = json.loads((out / "acceptance.json").read_text())
    assert {*acceptance["story"]} == {"before", "after"}
    assert len(acceptance["story"]["after"]["by_position"]) == pard.NUM_DRAFTED
    assert "survive in" in (out / "README.md").read_text()
    rows = [json.loads(line) for line in (out / "loss.jsonl").read_text().splitlines()]
    assert {"first_token", "last_token", "tokens_a_step"} <= {*rows[-1]}
    target, config = Target(load(model_folder)), GenerationConfig(max_new_tokens=16)
    ids = target.facts.encode("Once upon a time")
    drafter = drafters.create("pard", {"model": str(out)}, target)
    found = list(generate(target, drafter, ids, config))
    assert output_ids(found) == output_ids(plain_run(target, ids, config))
    assert _tokens(found) > 0


def _tokens(events: Sequence[Any]) -> int:
    return max(len(getattr(event, "nodes", ())) for event in events)
