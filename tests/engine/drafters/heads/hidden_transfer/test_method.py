"""Hidden Transfer's drafts are what the end of the path foresaw; weights that do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toys import VOCAB_SIZE, create, greedy_text, output_ids, prompt_ids, random_weights, tiny

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.heads._candidates import likeliest
from engine.drafters.heads.hidden_transfer.method import HiddenTransfer
from engine.errors import BadInput
from engine.loop import generate
from engine.noise import Noise
from engine.runtime.extra import ExtraRows, Foreseen
from engine.target import Scored, Target
from engine.tree import DraftTree
from engine.verify import Verdict


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
