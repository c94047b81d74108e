"""The model runner against stock transformers: tree masks, positions, cache, row invariance, refusals."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import DTYPES, FAMILIES, MAX_CONTEXT, VOCAB_SIZE, WINDOW, build, prompt_ids, stock, stock_logits, tiny, trees

from engine import models
from engine.errors import BadInput, ContextFull, RunFailed
from engine.models import LoadedModel
from engine.runtime.cpu import reading
from engine.runtime.families import refuse_unsupported
from engine.runtime.runner import PREFILL_ROWS, ModelRunner
from engine.runtime.waiting import MAX_PENDING
from engine.tree import DraftTree

# Not LongRoPE: test_longrope.py, by its own runner.
every_family = pytest.mark.parametrize("family", [name for name in FAMILIES if name != "phi3_longrope"])


def runner_of(loaded: LoadedModel, *, is_row_invariant: bool = True) -> ModelRunner:
    return ModelRunner(loaded.model, loaded.max_context, is_row_invariant=is_row_invariant)


def extend_tree(runner: ModelRunner, root: int, tree: DraftTree) -> torch.Tensor:
    """Logits of root and nodes."""
    return runner.extend((root, *tree.tokens), (-1, *(parent + 1 for parent in tree.parents))).logits


@pytest.mark.parametrize("is_row_invariant", [True, False], ids=["row invariant", "fused"])
@every_family
@settings(max_examples=12)
@given(trees(vocab_size=VOCAB_SIZE), st.integers(0, 20))
def test_a_node_sees_what_a_plain_sequence_of_its_path_sees(
    family: str, is_row_invariant: bool, tree: DraftTree, num_before: int
) -> None:
    runner, before, root = runner_of(tiny(family), is_row_invariant=is_row_invariant), prompt_ids(num_before), 3
    runner.prefill(before)
    logits = extend_tree(runner, root, tree)
    assert len(logits) == len(tree) + 1
    for node in range(-1, len(tree)):
        path = [tree.tokens[i] for i in tree.path_to(node)]
        wanted = stock_logits(stock(family), [*before, root, *path])[-1]
        torch.testing.assert_close(logits[node + 1], wanted, atol=1e-4, rtol=1e-4)


@every_family
def test_after_a_commit_the_cache_is_that_of_a_fresh_prefill(family: str) -> None:
    loaded = tiny(family)
    runner, fresh = runner_of(loaded), runner_of(loaded)
    text = prompt_ids(9)
    runner.prefill(text)
    rng = random.Random(0)
    for _ in range(4):
        # The accepted path lies scattered among nodes that are dropped.
        parents = tuple(rng.randint(-1, i - 1) for i in range(10))
        tree = DraftTree(tuple(rng.randrange(VOCAB_SIZE) for _ in parents), parents)
        root, path = rng.randrange(VOCAB_SIZE), tree.path_to(max(range(10), key=lambda i: tree.depths[i]))
        extend_tree(runner, root, tree)
        runner.commit((0, *(node + 1 for node in path)))
        text += [root, *(tree.tokens[node] for node in path)]
        fresh.prefill(text)
        assert runner.num_committed == len(text)
        assert runner.num_pending == 0
        for layer in range(2):
            for kept, wanted in zip(runner.kv(layer), fresh.kv(layer), strict=True):
                torch.testing.assert_close(kept, wanted, atol=1e-5, rtol=1e-5)


@every_family
def test_positions_have_no_hole_after_a_commit(family: str) -> None:
    runner, text = runner_of(tiny(family)), prompt_ids(12)
    runner.prefill(text[:-1])
    extend_tree(runner, text[-1], DraftTree((1, 2, 3, 4), (-1, -1, 1, 1)))
    runner.commit((0, 2, 4))
    logits = runner.extend([9], [-1]).logits[0]
    torch.testing.assert_close(logits, stock_logits(stock(family), [*text, 2, 4, 9])[-1], atol=1e-4, rtol=1e-4)


def test_committing_works_outside_of_inference_mode() -> None:
    runner = runner_of(tiny("llama"))
    runner.prefill(prompt_ids(5))
    extend_tree(runner, 3, DraftTree((1, 2), (-1, -1)))
    runner.commit((0, 2))
    assert runner.num_committed == 7


def rows_alone_and_among(
    runner: ModelRunner, text: Sequence[int], path: Sequence[int], num_rows: int, seed: int
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Logits of a path fed token by token, and as scattered rows of one pass with random companions."""
    rng = random.Random(seed)
    runner.prefill(text)
    alone = []
    for token in path:
        alone.append(runner.extend([token], [-1]).logits[0].clone())
        runner.commit([0])
    places = sorted(rng.sample(range(num_rows), len(path)))
    tokens = [rng.randrange(VOCAB_SIZE) for _ in range(num_rows)]
    parents = [rng.randint(-1, row - 1) for row in range(num_rows)]
    for step, place in enumerate(places):
        tokens[place], parents[place] = path[step], places[step - 1] if step else -1
    runner.prefill(text)
    logits = runner.extend(tokens, parents).logits
    among = [logits[place].clone() for place in places]
    # What follows an accepted path is the same too: its keys were moved into place.
    runner.commit(places[:-1])
    among[-1] = runner.extend([path[-1]], [-1]).logits[0].clone()
    return alone, among


@pytest.mark.parametrize("dtype", DTYPES)
@every_family
def test_a_row_has_the_same_bits_alone_and_among_others(family: str, dtype: str) -> None:
    runner = runner_of(tiny(family, dtype))
    for seed, num_rows in enumerate((8, 9, 16, 23, 40, 64)):
        text, path = prompt_ids(3 + 5 * seed, seed=seed), prompt_ids(6, seed=seed + 50)
        alone, among = rows_alone_and_among(runner, text, path, num_rows, seed)
        for step, (one, other) in enumerate(zip(alone, among, strict=True)):
            assert torch.equal(one, other), f"step {step} of a pass of {num_rows} rows"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_embedded_target_has_the_same_bits_alone_and_among_others(dtype: str) -> None:
    runner = runner_of(models.load("story", "cpu", dtype))
    for seed, num_rows in enumerate((8, 17, 64)):
        text, path = prompt_ids(30, 1000, seed), prompt_ids(5, 1000, seed + 50)
        alone, among = rows_alone_and_among(runner, text, path, num_rows, seed)
        assert all(torch.equal(one, other) for one, other in zip(alone, among, strict=True))


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "gpt2"])
def test_hidden_states_are_those_of_transformers(family: str) -> None:
    runner, text = runner_of(tiny(family)), prompt_ids(11)
    layers = (0, 1, 2)
    prompt_hidden = runner.prefill(text[:8], layers)
    rows = runner.extend(text[8:], (-1, 0, 1), hidden_layers=layers)
    assert prompt_hidden is not None
    assert rows.hidden is not None
    with torch.inference_mode():
        wanted = stock(family)(input_ids=torch.tensor([text]), output_hidden_states=True).hidden_states
    for place, layer in enumerate(layers):
        found = torch.cat((prompt_hidden[place], rows.hidden[place]))
        torch.testing.assert_close(found, wanted[layer][0], atol=1e-4, rtol=1e-4)


def test_only_the_last_rows_logits_are_computed_where_only_they_are_asked_for() -> None:
    runner, text = runner_of(tiny("llama", "bfloat16")), prompt_ids(13)
    runner.prefill([])
    every = runner.extend(text, range(-1, 12)).logits.clone()
    runner.reset()
    last = runner.extend(text, range(-1, 12), num_logits=2).logits
    assert torch.equal(last, every[-2:])


def test_a_pass_may_add_to_rows_that_still_wait() -> None:
    runner, text = runner_of(tiny("gemma2")), prompt_ids(9)
    runner.prefill(text)
    runner.extend([1], [-1])
    runner.extend([2, 3], [0, 0])
    logits = runner.extend([4], [2]).logits[0]
    torch.testing.assert_close(logits, stock_logits(stock("gemma2"), [*text, 1, 3, 4])[-1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_a_sliding_layer_forgets_what_lies_before_its_window(family: str) -> None:
    runner = runner_of(tiny(family))
    assert runner.sliding_window == WINDOW
    first, second = prompt_ids(2 * WINDOW), prompt_ids(2 * WINDOW)
    second[0] = (first[0] + 1) % VOCAB_SIZE
    keys = []
    for text in (first, second):
        runner.prefill(text)
        keys.append([runner.kv(layer)[0][:, -1].clone() for layer in range(2)])
    # The last row's key in the second layer depends on the first layer's output, which slides.
    assert torch.equal(keys[0][1], keys[1][1])


def test_two_runners_of_one_model_do_not_see_each_other() -> None:
    loaded = tiny("llama")
    first, second = runner_of(loaded), runner_of(loaded)
    first.prefill(prompt_ids(10, seed=1))
    second.prefill(prompt_ids(20, seed=2))
    logits = first.extend([5], [-1]).logits[0]
    wanted = stock_logits(stock("llama"), [*prompt_ids(10, seed=1), 5])[-1]
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)


def test_a_long_prompt_is_filled_in_blocks_and_the_result_is_the_same() -> None:
    config = FAMILIES["llama"]()
    config.max_position_embeddings = 700
    text = prompt_ids(530)
    runner = ModelRunner(build(config), 700, is_row_invariant=True)
    runner.prefill(text)
    logits = runner.extend([1], [-1]).logits[0]
    torch.testing.assert_close(logits, stock_logits(build(config), [*text, 1])[-1], atol=1e-3, rtol=1e-3)


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers() -> None:
    runner = runner_of(tiny("llama"))
    with pytest.raises(ContextFull, match=f"{MAX_CONTEXT + 1} tokens.*holds {MAX_CONTEXT}"):
        runner.prefill([0] * (MAX_CONTEXT + 1))


def test_rows_that_follow_a_later_row_or_are_too_many_are_refused() -> None:
    runner = runner_of(tiny("llama"))
    runner.prefill([1, 2])
    with pytest.raises(RunFailed, match="does not stand before"):
        runner.extend([1, 2], [-1, 1])
    runner.reset()
    with pytest.raises(RunFailed, match=f"at most {MAX_PENDING}"):
        runner.extend([0] * (MAX_PENDING + 1), [-1] * (MAX_PENDING + 1))


def test_a_recurrent_model_is_refused_with_a_sentence() -> None:
    mamba = transformers.MambaConfig(vocab_size=16, hidden_size=16, state_size=4, num_hidden_layers=1)
    mixed = transformers.Lfm2Config(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
    )
    for config in (mamba, mixed):
        model = build(config)
        with pytest.raises(BadInput, match="cannot be rolled back"):
            refuse_unsupported(model)


@pytest.mark.parametrize(("family", "num_tokens"), [("gpt2", PREFILL_ROWS + 44), ("llama", reading.ROWS + 30)])
def test_hidden_states_of_a_long_prompt_are_those_of_all_its_blocks(family: str, num_tokens: int) -> None:
    config = FAMILIES[family]()
    config.max_position_embeddings = num_tokens + 1
    text = prompt_ids(num_tokens)
    runner = ModelRunner(build(config), num_tokens + 1, is_row_invariant=True)
    assert runner.uses_transformers == (family == "gpt2")
    found = runner.prefill(text, (1, 2))
    with torch.inference_mode():
        wanted = build(config)(input_ids=torch.tensor([text]), output_hidden_states=True).hidden_states
    assert found is not None
    for layer, states in zip((1, 2), found, strict=True):
        assert states.shape == wanted[layer][0].shape
        torch.testing.assert_close(states.float(), wanted[layer][0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_the_windows_edge_may_lie_among_rows_that_wait(family: str) -> None:
    runner, text, num = runner_of(tiny(family)), prompt_ids(4 + 3 * WINDOW), WINDOW + 2
    runner.prefill(text[:4])
    first = runner.extend(text[4 : 4 + num], range(-1, num - 1)).logits
    second = runner.extend(text[4 + num :], range(num - 1, len(text) - 5)).logits
    wanted = stock_logits(stock(family), text)[4:]
    torch.testing.assert_close(torch.cat((first, second)).float(), wanted, atol=1e-4, rtol=1e-4)
