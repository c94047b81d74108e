"""Extra rows: seen by nobody, gone with their pass, and what a plain sequence with the same states gives."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from toys import DTYPES, FAMILIES, MAX_CONTEXT, VOCAB_SIZE, build, logits_of, prompt_ids, stock, tiny
from transformers import PreTrainedModel

from engine.errors import RunFailed
from engine.models import LoadedModel
from engine.runtime.extra import ExtraRows, decoder_layers
from engine.runtime.runner import ModelRunner
from engine.runtime.waiting import MAX_PENDING
from engine.target import Target
from engine.tree import EMPTY_TREE, DraftTree

every_family = pytest.mark.parametrize("family", FAMILIES)


@dataclass
class LoudTransfer:
    """One random matrix a step."""

    layers: tuple[int, ...] = (1, 1)
    width: int = 64
    matrices: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.matrices = [torch.randn(self.width, self.width, generator=generator) / 4 for _ in self.layers]

    def states(self, steps: tuple[int, ...], owners: Tensor) -> Tensor:
        made = torch.stack([owners.float() @ self.matrices[step - 1] for step in steps], dim=1)
        return made.flatten(0, 1).to(owners.dtype)


def runner_of(loaded: LoadedModel) -> ModelRunner:
    return ModelRunner(loaded.model, loaded.max_context, is_row_invariant=True)


def random_tree(seed: int, num_nodes: int) -> DraftTree:
    rng = random.Random(seed)
    parents = tuple(rng.randint(-1, i - 1) for i in range(num_nodes))
    return DraftTree(tuple(rng.randrange(VOCAB_SIZE) for _ in parents), parents)


def rows_of(tree: DraftTree, root: int = 3) -> tuple[list[int], list[int]]:
    return [root, *tree.tokens], [-1, *(parent + 1 for parent in tree.parents)]


def attached(transfer: LoudTransfer, owners: list[int]) -> ExtraRows:
    """Every step's row to each owner."""
    steps = range(1, len(transfer.layers) + 1)
    pairs = [(owner, step) for owner in owners for step in steps]
    return ExtraRows(transfer, tuple(owner for owner, _ in pairs), tuple(step for _, step in pairs))


@torch.inference_mode()
def as_a_sequence(model: PreTrainedModel, ids: list[int], transfer: LoudTransfer) -> Tensor:
    """Logits (k, v) of rows put behind a plain causal sequence, their states overwritten at their layers."""
    owner, handles = len(ids) - 1, []
    for layer in set(transfer.layers):

        def overwrite(module: object, args: tuple[Tensor, ...], layer: int = layer) -> tuple[Tensor, ...]:
            hidden = args[0].clone()
            for step, own in enumerate(transfer.layers, start=1):
                if own == layer:
                    hidden[0, owner + step] = transfer.states((step,), hidden[0, owner][None])[0]
            return (hidden, *args[1:])

        handles.append(decoder_layers(model)[layer].register_forward_pre_hook(overwrite))
    behind = [0] * len(transfer.layers)
    logits: Tensor = model(input_ids=torch.tensor([[*ids, *behind]]), use_cache=False).logits[0, owner + 1 :]
    for handle in handles:
        handle.remove()
    return logits.float()


@pytest.mark.parametrize("layers", [(0,), (1, 1), (0, 1, 1)])
@every_family
def test_an_extra_row_sees_its_owners_path_and_its_own_earlier_rows(family: str, layers: tuple[int, ...]) -> None:
    runner, transfer, before = runner_of(tiny(family)), LoudTransfer(layers), prompt_ids(9)
    runner.prefill(before)
    tree = random_tree(1, 9)
    ids, parents = rows_of(tree)
    owners = [0, 4, 9]
    extra = runner.extend(ids, parents, extra=attached(transfer, owners)).extra
    assert extra is not None
    for place, owner in enumerate(owners):
        path = [ids[0], *(tree.tokens[i] for i in tree.path_to(owner - 1))]
        wanted = as_a_sequence(stock(family), [*before, *path], transfer)
        states = extra.states(place * len(layers), (place + 1) * len(layers))
        torch.testing.assert_close(logits_of(stock(family), states), wanted, atol=1e-4, rtol=1e-4)


def assert_real_rows_keep_their_bits(runner: ModelRunner, layers: tuple[int, ...]) -> None:
    for seed, num_nodes in enumerate((0, 7, 20)):
        tree = random_tree(seed, num_nodes)
        ids, parents = rows_of(tree)
        runner.prefill(prompt_ids(5 + 9 * seed))
        bare = runner.extend(ids, parents, hidden_layers=(1, 2))
        logits, hidden = bare.logits.clone(), [layer.clone() for layer in bare.hidden or ()]
        runner.commit([])
        extra = attached(LoudTransfer(layers), [*range(0, num_nodes + 1, 2)])
        rows = runner.extend(ids, parents, hidden_layers=(1, 2), extra=extra)
        assert torch.equal(rows.logits, logits)
        assert all(torch.equal(one, other) for one, other in zip(rows.hidden or (), hidden, strict=True))


@pytest.mark.parametrize("layers", [(1, 1, 1), (1, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
@every_family
def test_real_rows_have_the_same_bits_with_and_without_extra_rows(
    family: str, dtype: str, layers: tuple[int, ...]
) -> None:
    assert_real_rows_keep_their_bits(runner_of(tiny(family, dtype)), layers)


@pytest.mark.parametrize("layers", [(1, 1), (0, 1), (1, 0)])
def test_the_compiled_pass_and_the_hooks_agree(layers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for is_compiled in (True, False):
        monkeypatch.setattr("engine.runtime.prepared.runs_compiled", lambda device, answer=is_compiled: answer)
        runner = ModelRunner(build(FAMILIES["llama"]()), MAX_CONTEXT, is_row_invariant=True)
        runner.prefill(prompt_ids(12))
        extra = runner.extend(*rows_of(random_tree(2, 12)), extra=attached(LoudTransfer(layers), [0, 3, 12])).extra
        assert extra is not None
        found.append(extra.states())
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_after_a_commit_the_cache_holds_no_extra_row(family: str) -> None:
    target, fresh = Target(tiny(family)), runner_of(tiny(family))
    text = prompt_ids(12)
    target.prefill(text[:-1])
    extra = ExtraRows(LoudTransfer(), (-1, -1, 0, 2), (1, 2, 1, 1))
    scored = target.score(text[-1], DraftTree((1, 2, 3), (-1, -1, 1), extra=extra))
    assert scored.extra is not None
    assert len(scored.extra.states()) == 4
    assert scored.logits.shape == (4, VOCAB_SIZE)
    assert target.runner.num_pending == 4
    target.commit((1, 2))
    fresh.prefill([*text, 2, 3])
    assert target.kv_length == len(text) + 2
    for layer in range(2):
        for kept, wanted in zip(target.runner.kv(layer), fresh.kv(layer), strict=True):
            torch.testing.assert_close(kept, wanted, atol=1e-5, rtol=1e-5)


def test_extra_rows_come_back_in_the_order_they_were_asked_for() -> None:
    runner, transfer = runner_of(tiny("llama")), LoudTransfer((1, 0, 1))
    runner.prefill(prompt_ids(6))
    pairs = [(owner, step) for owner in (0, 1, 3) for step in (1, 2, 3)]
    found: dict[tuple[int, int], Tensor] = {}
    for turn in (pairs, pairs[::-1]):
        extra = ExtraRows(transfer, tuple(owner for owner, _ in turn), tuple(step for _, step in turn))
        foreseen = runner.extend(*rows_of(random_tree(1, 3)), extra=extra).extra
        runner.commit([])
        assert foreseen is not None
        for pair, row in zip(turn, foreseen.states(), strict=True):
            torch.testing.assert_close(row, found.setdefault(pair, row), atol=1e-5, rtol=1e-5)


def test_a_tree_may_be_empty_and_look_ahead_all_the_same(llama: Target) -> None:
    llama.prefill(prompt_ids(4))
    extra = ExtraRows(LoudTransfer(), (-1,), (1,))
    scored = llama.score(5, DraftTree(extra=extra))
    assert scored.extra is not None
    llama.discard()
    assert len(scored.extra.states()) == 1
    assert torch.equal(scored.logits, llama.score(5, EMPTY_TREE).logits)


def test_a_pruned_tree_takes_the_extra_rows_of_pruned_nodes_with_it() -> None:
    extra = ExtraRows(LoudTransfer(), (-1, 0, 1, 2, 3), (1, 1, 1, 1, 1))
    tree = DraftTree((5, 6, 7, 8), (-1, 0, -1, 2), extra=extra).pruned(max_nodes=8, max_depth=1)
    assert tree.extra is not None
    assert tree.tokens == (5, 7)
    assert tree.extra.owners == (-1, 0, 1)


def test_extra_rows_count_among_the_rows_that_a_pass_may_have() -> None:
    runner = runner_of(tiny("llama"))
    runner.prefill(prompt_ids(4))
    with pytest.raises(RunFailed, match=f"at most {MAX_PENDING}"):
        runner.extend(*rows_of(random_tree(1, 200)), extra=attached(LoudTransfer(), [*range(200)]))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_row_that_looks_beyond_the_context_does_no_harm(family: str) -> None:
    runner = runner_of(tiny(family))
    runner.prefill(prompt_ids(MAX_CONTEXT - 1))
    rows = runner.extend([1], [-1], extra=ExtraRows(LoudTransfer(), (0, 0), (1, 2)))
    assert rows.extra is not None
    assert rows.extra.states().isfinite().all()


def test_a_step_that_the_transfer_does_not_have_is_refused() -> None:
    with pytest.raises(RunFailed, match="transfer has 2"):
        ExtraRows(LoudTransfer(), (0,), (3,))
