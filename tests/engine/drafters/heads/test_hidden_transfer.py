"""Hidden Transfer: training and decoding agree on the pseudo rows, the plan is the best, the drafts are the end's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toys import VOCAB_SIZE, create, greedy_text, logits_of, output_ids, prompt_ids, random_weights, stock, tiny

from engine import drafters, models, suites
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.heads._candidates import likeliest
from engine.drafters.heads.hidden_transfer.maps import Maps
from engine.drafters.heads.hidden_transfer.method import HiddenTransfer
from engine.drafters.heads.hidden_transfer.plan import pass_cost, plan, ranked_ends
from engine.drafters.shapes import Shape, grow
from engine.errors import BadInput
from engine.loop import generate
from engine.noise import Noise
from engine.runtime.extra import ExtraRows, Foreseen
from engine.runtime.runner import ModelRunner
from engine.target import Scored, Target
from engine.training import layer_sweep
from engine.training.layered import Layered
from engine.training.transfer import Transfer
from engine.tree import DraftTree
from engine.verify import Verdict

PARTS = ("weight", "bias")
EMBEDDED = models.ASSETS / "models" / "story-hidden_transfer"


def transfer_for(family: str, layers: tuple[int, ...]) -> Transfer:
    torch.manual_seed(1)
    return Transfer(Layered(stock(family)), layers, 64)


def maps_of(transfer: Transfer) -> Maps:
    state = transfer.state_dict()
    weights, biases = ([state[f"maps.{step}.{part}"] for step in range(len(transfer.layers))] for part in PARTS)
    return Maps(transfer.layers, weights, biases)


# Training


@pytest.mark.parametrize("layers", [(1, 1), (0, 1), (1, 0)])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral"])
def test_training_gives_a_pseudo_row_the_logits_that_decoding_gives_it(family: str, layers: tuple[int, ...]) -> None:
    transfer, text = transfer_for(family, layers), prompt_ids(12)
    with torch.inference_mode():
        states = transfer.last_states(transfer.layered.real(torch.tensor([text])), torch.tensor([[4, 9]]))
        trained = transfer.layered.scores(states)[0]
    runner = ModelRunner(tiny(family).model, 160, is_row_invariant=True)
    for place, position in enumerate((4, 9)):
        runner.prefill(text[:position])
        extra = ExtraRows(maps_of(transfer), (0, 0), (1, 2))
        rows = runner.extend([text[position]], [-1], extra=extra)
        assert rows.extra is not None
        found = logits_of(stock(family), rows.extra.states())
        torch.testing.assert_close(found, trained[place], atol=1e-4, rtol=1e-4)


def test_real_rows_of_training_are_those_of_transformers() -> None:
    ids = torch.tensor([prompt_ids(11), prompt_ids(11, seed=2)])
    rows = Layered(stock("qwen3")).real(ids)
    with torch.inference_mode():
        wanted = stock("qwen3")(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(rows.entering[1], wanted[1], atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_map_through_the_frozen_layers_and_nothing_else() -> None:
    transfer = transfer_for("llama", (1, 0, 1))
    ids = torch.tensor([prompt_ids(24)])
    hidden = stock("llama").model(input_ids=ids[:, :-1]).last_hidden_state
    transfer(ids, hidden).backward()
    for linear in transfer.maps:
        assert linear.weight.grad is not None
        assert linear.weight.grad.abs().sum() > 0
    assert {name.split(".")[0] for name, _ in transfer.named_parameters()} == {"maps"}
    assert all(parameter.grad is None for parameter in stock("llama").parameters())


def test_a_trained_map_foresees_what_an_untrained_one_does_not() -> None:
    """A text of period 3 in a target whose states tell the token: the loss falls far."""
    transfer = transfer_for("llama", (1, 1))
    ids = torch.tensor([[5, 9, 2] * 12])
    hidden = stock("llama").model(input_ids=ids[:, :-1]).last_hidden_state
    optimizer = torch.optim.Adam(transfer.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = transfer(ids, hidden)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_a_target_of_another_family_is_refused_with_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"llama, mistral.*this one is a gpt2 model"):
        Layered(stock("gpt2"))


def test_the_last_layer_of_a_steps_plateau_is_taken() -> None:
    accuracy = {"layer 1": [0.3, 0.4], "layer 2": [0.5, 0.395], "layer 3": [0.495, 0.38]}
    assert layer_sweep.best_layers(accuracy) == (3, 2)


def test_the_sweep_is_drawn_with_a_line_a_step() -> None:
    drawing = layer_sweep.draw({"1": [0.3, 0.1], "4": [0.5, 0.2], "7": [0.4, 0.1]})
    assert drawing.count("<polyline") == 2
    assert "step 2" in drawing
    assert "layer 7" in drawing


# The plan


SHAPE = Shape(((0,), (1,), (0, 0)), (0.5, 0.2, 0.3))


def test_a_step_ends_at_a_node_as_often_as_it_is_accepted_and_no_child_is() -> None:
    found = ranked_ends(SHAPE)
    assert [node for node, _ in found] == [-1, 2, 0, 1]
    assert [share for _, share in found] == pytest.approx([0.3, 0.3, 0.2, 0.2])


def test_where_rows_are_free_every_node_is_drafted_and_looks_ahead() -> None:
    found = plan(SHAPE, lambda num_rows, num_ends: 1.0)
    assert len(found.shape) == 3
    assert set(found.ends) == {-1, 0, 1, 2}


def test_where_rows_are_dear_a_node_that_seldom_pays_is_left_out() -> None:
    found = plan(SHAPE, pass_cost([1.0 + 0.15 * n for n in range(64)], [1, 1]))

    def rate(num_nodes: int, num_ends: int) -> float:
        """Tokens per time of the plan, by the definition."""
        shape = SHAPE.limited(num_nodes)
        missed = sum(share for _, share in ranked_ends(shape)[num_ends:])
        time = 1 + 0.15 * (num_nodes + num_ends) + missed * 1.15
        return (shape.expected_emitted + missed) / time

    best = max(((n, m) for n in (1, 2, 3) for m in range(1, n + 2)), key=lambda pair: rate(*pair))
    assert (len(found.shape), len(found.ends)) == best


def test_of_plans_that_promise_nearly_as_much_the_largest_is_taken() -> None:
    shape = Shape(((0,), (1,), (2,)), (0.5, 0.2, 0.2))
    assert len(plan(shape, lambda num_rows, num_ends: 1.0 + 0.13 * (num_rows == 4)).shape) == 3
    assert len(plan(shape, lambda num_rows, num_ends: 1.0 + 0.15 * (num_rows == 4)).shape) == 2


def test_extra_rows_cost_in_the_layers_that_they_pass() -> None:
    """Four layers and the output layer, two steps that enter before the fourth; rows are free up to 8."""
    cost = pass_cost([1.0] * 8 + [1.0 + 0.1 * n for n in range(1, 9)], [0, 0, 0, 2, 2])
    assert cost(8, 0) == pytest.approx(1.0)
    assert cost(2, 3) == pytest.approx(1.0)
    assert cost(4, 4) == pytest.approx((3 * 1.0 + 2 * 1.4) / 5)
    assert cost(8, 4) == pytest.approx((3 * 1.0 + 2 * 1.8) / 5)
    assert cost(32, 0) == pytest.approx(1.8 * 32 / 16)


def test_asked_for_numbers_are_kept() -> None:
    found = plan(grow([[0.5, 0.3], [0.5, 0.2]], 6), lambda num_rows, num_ends: 1.0, num_nodes=5, num_ends=2)
    assert len(found.shape) == 5
    assert len(found.ends) == 2
    assert found.ends[0] == -1


# Drafting


def drafter_and_context(target: Target, **options: object) -> tuple[HiddenTransfer, Context]:
    drafter: Any = create("hidden_transfer", target, **options)
    context = Context(prompt_ids(5), GenerationConfig(), Noise(0))
    target.prefill(context.ids[:-1])
    drafter.start(context)
    return drafter, context


class ReadAsScores:
    """Guesses whose states are scores already; keeps what it was told beside them."""

    def likeliest(self, states: Tensor, owner: Tensor, root_id: int, top_k: int) -> tuple[Any, Any]:
        self.told = owner, root_id
        return likeliest(states, top_k)


def foreseen(states: Tensor) -> Foreseen:
    """Extra rows in the order in which they are asked for."""
    return Foreseen(states, tuple(range(len(states))))


def test_the_first_step_drafts_nothing_and_looks_ahead_from_the_root(llama: Target) -> None:
    drafter, context = drafter_and_context(llama, depth=3)
    tree = drafter.propose(context, Room(64))
    assert len(tree) == 0
    assert tree.extra is not None
    assert tree.extra.owners == (-1, -1, -1)
    assert tree.extra.steps == (1, 2, 3)


def test_the_next_tree_is_what_the_end_of_the_path_foresees(llama: Target) -> None:
    drafter, context = drafter_and_context(llama, budget=4, ends=3, depth=3)
    drafter._guesses = guesses = cast(Any, ReadAsScores())
    context.tree = DraftTree((1, 2), (-1, 0), extra=ExtraRows(drafter._maps, (-1, -1, -1, 1, 1, 1), (1, 2, 3) * 2))
    extra = torch.zeros(6, VOCAB_SIZE)
    extra[3, [7, 8]] = torch.tensor([5.0, 4.0])
    extra[4, 9], extra[5, 10] = 5.0, 5.0
    hidden = torch.arange(3.0)[:, None].expand(3, 64)
    drafter.observe(
        Verdict((0, 1), 3, "bonus"), [1, 2, 3], Scored(torch.zeros(3, VOCAB_SIZE), (hidden,), foreseen(extra))
    )
    context.ids.extend([1, 2, 3])
    tree = drafter.propose(context, Room(64))
    owner, root_id = guesses.told
    assert (owner == 2).all()  # the last node's row
    assert root_id == 3
    at_depth = {
        depth: {t for t, d in zip(tree.tokens, tree.depths, strict=True) if d == depth} for depth in tree.depths
    }
    assert len(tree) == 4
    assert 7 in at_depth[1]
    assert 9 in at_depth[2]
    assert tree.draft_probs is not None
    assert tree.draft_probs[0] == pytest.approx(extra[3].softmax(0)[7].item())


def test_behind_an_end_that_did_not_look_ahead_nothing_is_drafted(llama: Target) -> None:
    drafter, context = drafter_and_context(llama, ends=1)
    context.tree = DraftTree((1,), (-1,), extra=ExtraRows(drafter._maps, (-1, -1, -1), (1, 2, 3)))
    scored = Scored(torch.zeros(2, VOCAB_SIZE), (torch.zeros(2, 64),), foreseen(torch.zeros(3, 64)))
    drafter.observe(Verdict((0,), 3, "bonus"), [1, 3], scored)
    assert len(drafter.propose(context, Room(64))) == 0
    drafter.observe(Verdict((), 3, "correction"), [3], scored)
    assert len(drafter.propose(context, Room(64))) > 0


def test_no_pseudo_row_is_computed_for_the_last_token(llama: Target) -> None:
    drafter, context = drafter_and_context(llama)
    assert drafter.propose(context, Room(0)).extra is None


def with_config(tmp_path: Path, **changes: Any) -> str:
    folder = tmp_path / "weights"
    shutil.copytree(random_weights("hidden_transfer", 64, VOCAB_SIZE), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return str(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": [1, 1, 2]}, r"\[1, 1, 2\].*tiny-llama has 2 layers"),
        ({"layers": [1]}, "wanted 3 whole numbers"),
        ({"layers": "all"}, "wanted 3 whole numbers"),
        ({"num_steps": 4, "layers": [1] * 4}, r"lack transfer\.3\.weight"),
        ({"target": "big", "target_fingerprint": "00"}, r"trained for big \(00\).*tiny-llama"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, llama: Target, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        create("hidden_transfer", llama, weights=with_config(tmp_path, **changes))


def test_maps_of_another_width_or_cut_off_are_refused(llama: Target, tmp_path: Path) -> None:
    folder = Path(with_config(tmp_path))
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor[:8].contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(BadInput, match=r"transfer\.0\.weight.*has shape \(8, 64\); wanted \(64, 64\)"):
        create("hidden_transfer", llama, weights=str(folder))
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-40])
    with pytest.raises(BadInput, match="corrupt or cut off"):
        create("hidden_transfer", llama, weights=str(folder))


@pytest.mark.parametrize("family", ["gpt2", "gemma3", "phi3"])
def test_any_family_decodes_with_maps_the_same_text(family: str) -> None:
    target, prompt = Target(tiny(family)), prompt_ids(6)
    drafter = create("hidden_transfer", target)
    found = output_ids(generate(target, drafter, prompt, GenerationConfig(max_new_tokens=20)))
    assert found == greedy_text(target, prompt, 20)[len(prompt) :]


# What a faithful implementation must show, on the embedded target


def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EMBEDDED / layer_sweep.FILE).read_text())
    return found


def test_accuracy_by_layer_was_swept_and_is_best_inside_or_on_a_plateau() -> None:
    by_layer = figures()["accuracy_by_layer"]
    assert len(by_layer) >= 5
    first, *_, last = by_layer.values()
    for step, layer in enumerate(figures()["layers"]):
        best = by_layer[str(layer)][step]
        assert best >= max(row[step] for row in by_layer.values()) - layer_sweep.PLATEAU
        assert best >= max(first[step], last[step]) - layer_sweep.PLATEAU
    assert (EMBEDDED / layer_sweep.DRAWING).is_file()


def test_the_ablation_of_attention_to_earlier_steps_was_measured() -> None:
    ablation = figures()["ablation_of_attention_to_earlier_steps"]
    assert all(0 < share < 1 for row in ablation.values() for share in row)
    assert set(ablation) == {"with", "without"}


def test_likeness_of_pseudo_and_real_states_was_measured_from_each_steps_layer_to_the_last() -> None:
    """It need not rise with depth: least squares makes it as high as a linear map can at the transfer itself."""
    for name in ("cosine_by_layer", "centred_cosine_by_layer"):
        by_layer = figures()[name]
        for step, layer in enumerate(figures()["layers"], start=1):
            found = [row[str(step)] for at, row in by_layer.items() if int(at) >= layer]
            assert len(found) == max(map(int, by_layer)) - layer + 1
            assert all(0.05 < cosine < 1 for cosine in found)


def test_on_the_embedded_target_real_rows_keep_their_bits_and_the_cache_holds_no_pseudo_row() -> None:
    target = Target(models.load("story", "cpu"))
    drafter: Any = drafters.create("hidden_transfer", {"budget": 12, "ends": 6}, target)
    ids = target.loaded.encode(suites.questions("story", 1)[0].turns[0])
    context = Context(list(ids), GenerationConfig(), Noise(0))
    target.hidden_layers = drafter.needs.hidden_layers
    target.prefill(ids[:-1])
    drafter.start(context)
    scored = target.score(ids[-1], drafter.propose(context, Room(64)))
    token = int(scored.logits[0].argmax())
    target.commit(())
    context.tree = DraftTree(extra=drafter._rows((-1,)))
    drafter.observe(Verdict((), token, "plain"), [token], scored)
    context.ids.append(token)
    tree = drafter.propose(context, Room(64))
    assert len(tree) > 3
    with_rows = target.score(token, tree).logits
    target.discard()
    assert torch.equal(target.score(token, replace(tree, extra=None)).logits, with_rows)
    target.commit(tree.path_to(0))
    assert target.kv_length == len(ids) + 2
    fresh = ModelRunner(target.loaded.model, target.max_context, is_row_invariant=True)
    fresh.prefill(ids[:-1])
    for written in (ids[-1], token, tree.tokens[0]):
        fresh.extend([written], [-1])
        fresh.commit([0])
    for layer in range(target.loaded.model.config.num_hidden_layers):
        for kept, wanted in zip(target.runner.kv(layer), fresh.kv(layer), strict=True):
            assert torch.equal(kept, wanted)
