"""Rows that see one another in one pass: masks and states of a block, and a model that fills in masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from toys import DTYPES, VOCAB_SIZE, ScriptedDrafter, build, greedy_text, output_ids, prompt_ids, steps_of, tiny
from toys.families import FAMILIES, sizes

from engine import models
from engine.config import GenerationConfig
from engine.drafters.base import Context, Needs, Room
from engine.errors import BadInput, RunFailed
from engine.loop import generate
from engine.models import DraftSpec, load_draft
from engine.runtime.layers import layers_of
from engine.runtime.masked import MaskedRunner
from engine.runtime.runner import ModelRunner
from engine.target import Scored, Target
from engine.tree import DraftTree, chain
from engine.verify import Verdict

MASK = 7
LEN, BLOCK = 9, 4
SAMPLED: dict[str, Any] = {"temperature": 0.9, "seed": 3}


def config_of(family: str) -> Any:
    config = FAMILIES[family]()
    config.num_hidden_layers = 2
    return config


def stock_of(family: str, dtype: str = "float32") -> Any:
    """The same weights in an untouched model, whose attention takes masks of truths."""
    return build(config_of(family), dtype, attention="sdpa")


@torch.inference_mode()
def plainly(model: Any, ids: Sequence[int], sees: torch.Tensor) -> torch.Tensor:
    """Logits (t, v) of an untouched model whose rows see what they are told to."""
    output = model(input_ids=torch.tensor([list(ids)]), attention_mask=sees[None, None], use_cache=False)
    return output.logits[0].float()  # type: ignore[no-any-return]


def block_mask(num_before: int, num_rows: int) -> torch.Tensor:
    """A causal text, and behind it rows that see one another."""
    sees = torch.ones(num_before + num_rows, num_before + num_rows, dtype=torch.bool).tril()
    sees[num_before:] = True
    return sees


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["llama", "stablelm"])
def test_masks_see_one_another_and_leave_no_trace(family: str, dtype: str) -> None:
    """Compiled and through transformers; a text's next tokens are scored as if the masks had never been."""
    runner = ModelRunner(build(config_of(family), dtype), 160, is_row_invariant=True)
    ids, parents = prompt_ids(LEN), range(-1, BLOCK - 1)
    runner.prefill(ids)
    found = runner.extend([MASK] * BLOCK, parents, is_block=True).logits.float()
    wanted = plainly(stock_of(family, dtype), [*ids, *[MASK] * BLOCK], block_mask(LEN, BLOCK))[LEN:]
    error = 1e-4 if dtype == "float32" else 0.1
    torch.testing.assert_close(found, wanted, atol=error, rtol=error)
    assert not torch.allclose(found[0], runner_without(runner).logits[0].float(), atol=error), "a causal pass differs"
    runner.commit(())
    after = runner.extend([3, 4], (-1, 0)).logits.clone()
    runner.prefill(ids)
    assert torch.equal(runner.extend([3, 4], (-1, 0)).logits, after)


def runner_without(runner: ModelRunner) -> Any:
    """The same masks, each seeing those before it only."""
    runner.commit(())
    return runner.extend([MASK] * BLOCK, range(-1, BLOCK - 1))


def test_what_follows_a_row_of_a_block_sees_all_of_it() -> None:
    runner, stock = ModelRunner(build(config_of("llama")), 160, is_row_invariant=True), stock_of("llama")
    runner.prefill(prompt_ids(LEN))
    runner.extend([MASK] * 3, (-1, 0, 1), is_block=True)
    found = runner.extend([5], (2,)).logits
    sees = block_mask(LEN, 4)
    sees[LEN : LEN + 3, LEN + 3] = False
    wanted = plainly(stock, [*prompt_ids(LEN), *[MASK] * 3, 5], sees)[-1:]
    torch.testing.assert_close(found.float(), wanted, atol=1e-4, rtol=1e-4)


def test_layers_that_hold_a_block_are_not_taken_for_layers_that_hold_a_chain() -> None:
    runner = ModelRunner(build(config_of("llama")), 160, is_row_invariant=True)
    runner.extend([MASK] * 3, (-1, 0, 1), layers=range(1), is_block=True)
    runner.extend(torch.zeros(3, 64), (-1, 0, 1), layers=range(1, 2))
    with pytest.raises(RunFailed, match="one pass cannot add to both"):
        runner.extend([5], (2,))


# A drafter of blocks: one layer over the target's hidden states, masks behind them, the target's own output layer


class BlockDrafter(ScriptedDrafter):
    """Every step: verified states enter the layer's cache, a block of masks follows the root, and is dropped again."""

    name = "block"
    needs = Needs(hidden_layers=(-1,))

    def __init__(self, target: Target, *, is_block: bool = True) -> None:
        super().__init__(lambda context, budget: self.draft(context))
        config = config_of("llama")
        config.num_hidden_layers = 1
        layer: Any = build(config, seed=5)
        tensors = {name: t for name, t in layer.model.state_dict().items() if name != "embed_tokens.weight"}
        self.runner = ModelRunner(layers_of(config, tensors), 160, is_row_invariant=False)
        self.target, self.is_block = target, is_block
        self.masks = torch.randn(BLOCK, 64, generator=torch.Generator().manual_seed(2))

    def start(self, context: Context) -> None:
        super().start(context)
        assert context.prompt_hidden is not None
        self.runner.prefill(context.prompt_hidden[0].float())

    def draft(self, context: Context) -> DraftTree:
        rows = self.runner.extend(
            self.masks, range(-1, BLOCK - 1), num_logits=0, hidden_layers=(1,), is_block=self.is_block
        )
        self.runner.commit(())
        assert rows.hidden is not None
        return chain(self.target.runner.output_layer(rows.hidden[0]).argmax(dim=1).tolist())

    def propose(self, context: Context, room: Room) -> DraftTree:
        return super().propose(context, room).pruned(room.nodes, room.depth)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        assert scored.hidden is not None
        states = scored.hidden[0][[0, *(node + 1 for node in verdict.path)]].float()
        self.runner.extend(states, range(-1, len(states) - 1), num_logits=0)
        self.runner.commit(range(len(states)))


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_a_drafter_of_blocks_decodes_the_text_of_plain_decoding(settings: dict[str, Any], llama: Target) -> None:
    prompt = prompt_ids(12)
    drafter = BlockDrafter(llama)
    found = list(generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=20, **settings)))
    text = greedy_text(llama, prompt, 20, **settings)
    assert output_ids(found) == text[len(prompt) :]
    assert drafter.runner.num_committed == len(text) - 1
    drafts = [[node.token_id for node in step.nodes] for step in steps_of(found)]
    causal = list(generate(llama, BlockDrafter(llama, is_block=False), prompt, GenerationConfig(max_new_tokens=20)))
    assert drafts[0] != [node.token_id for node in steps_of(causal)[0].nodes], "what its masks see changes its draft"


# A masked language model


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Any:
    """A tiny BERT of the target's vocabulary, loaded as a draft model that fills in masks."""
    target, folder = models.load(str(model_folder)), tmp_path_factory.mktemp("masked")
    config = transformers.BertConfig(**sizes(vocab_size=len(target.tokenizer), max_position_embeddings=48))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        transformers.BertForMaskedLM(config).save_pretrained(folder)
    target.tokenizer.save_pretrained(folder)
    return load_draft(DraftSpec(str(folder), kind="masked"), target)


def test_masks_are_filled_from_both_sides(masked: Any) -> None:
    runner = MaskedRunner(masked.model, MASK, 48)
    ids = prompt_ids(9)
    with torch.inference_mode():
        wanted = masked.model(input_ids=torch.tensor([[*ids, MASK, MASK]])).logits[0, 9:]
    assert torch.equal(runner.fill(ids, 2), wanted)
    assert torch.equal(runner.fill([*prompt_ids(80, seed=4), *ids], 39), runner.fill(ids, 39)), "the last that fit"
    with pytest.raises(BadInput, match="49 masks do not fit a context of 48"):
        runner.fill(ids, 49)
    with pytest.raises(BadInput, match="A bert model is to fill in masks, and its tokenizer has no mask token"):
        MaskedRunner(masked.model, None, 48)


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_a_drafter_of_masks_decodes_the_text_of_plain_decoding(settings: dict[str, Any], masked: Any) -> None:
    target, prompt = Target(tiny("llama")), prompt_ids(12)
    runner = MaskedRunner(masked.model, MASK, 48)

    def draft(context: Context, budget: int) -> DraftTree:
        return chain(runner.fill(context.ids, 3)[:, :VOCAB_SIZE].argmax(dim=1).tolist())

    found = list(generate(target, ScriptedDrafter(draft), prompt, GenerationConfig(max_new_tokens=9, **settings)))
    assert output_ids(found) == greedy_text(target, prompt, 9, **settings)[len(prompt) :]
    assert {len(step.nodes) for step in steps_of(found)[:-3]} == {3}
