"""Published weights, written small in each layout: converted, run, and refused with a sentence that says why."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toys import VOCAB_SIZE

from engine import cli, drafters
from engine.audit import audit
from engine.checkpoints import convert
from engine.config import GenerationConfig
from engine.drafters.heads.medusa.method import Medusa
from engine.drafters.heads.mlp_speculator.method import MlpSpeculator
from engine.errors import BadInput
from engine.loop import generate
from engine.target import Target

WIDTH, INNER = 64, 24
Tensors = dict[str, Tensor]
Array = np.ndarray[Any, np.dtype[np.float64]]
Arrays = dict[str, Array]


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(100 * seed + sum(shape))) / 8


def medusa(num_heads: int = 2, num_blocks: int = 1) -> Tensors:
    """As FasterDecoding's file has it, and this project; no two tensors are alike."""
    places = [(head, block) for head in range(num_heads) for block in range(num_blocks)]
    found = {f"{head}.{block}.linear.weight": some(WIDTH, WIDTH, seed=9 * head + block) for head, block in places}
    found |= {f"{head}.{block}.linear.bias": some(WIDTH, seed=9 * head + block) for head, block in places}
    return found | {
        f"{head}.{num_blocks}.weight": some(VOCAB_SIZE, WIDTH, seed=9 * head + 8) for head in range(num_heads)
    }


def accelerator(stages: int = 2) -> Tensors:
    """As IBM's, without their prefix; no two tensors are alike."""
    found = {}
    for i in range(stages):
        found[f"emb.{i}.weight"] = some(VOCAB_SIZE, INNER, seed=9 * i)
        found[f"head.{i}.weight"] = some(VOCAB_SIZE, INNER, seed=9 * i + 1)
        found[f"proj.{i}.weight"] = some(INNER, INNER if i else WIDTH, seed=9 * i + 2)
        found[f"ln.{i}.weight"] = 1 + some(INNER, seed=9 * i + 3)
        found[f"ln.{i}.bias"] = some(INNER, seed=9 * i + 4)
    return found


def as_vllm(tensors: Tensors, num_blocks: int) -> Tensors:
    found = {}
    for name, tensor in tensors.items():
        head, place, *rest = name.split(".")
        is_output = int(place) == num_blocks
        found[f"lm_heads.{head}.weight" if is_output else f"blocks.{head}.layers.{place}.{rest[-1]}"] = tensor
    return found


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def arrays(tensors: Tensors) -> Arrays:
    return {name: tensor.double().numpy() for name, tensor in tensors.items()}


Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A folder of weights in a file of this name, with a config."""

    def write(tensors: Any, name: str = "model.safetensors", **config: Any) -> Path:
        folder = tmp_path / "published"
        folder.mkdir()
        if name.endswith(".safetensors"):
            save_file(tensors, folder / name)
        else:
            torch.save(tensors, folder / name)
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return write


PUBLISHED: dict[str, tuple[str, Tensors, Tensors, str, dict[str, Any]]] = {
    "Medusa": ("medusa", medusa(), medusa(), "medusa_lm_head.pt", {"medusa_num_heads": 2}),
    "Medusa, which says fewer": ("medusa", medusa(3), medusa(3), "medusa_lm_head.safetensors", {"medusa_num_heads": 2}),
    "Medusa of two blocks": ("medusa", medusa(2, 2), medusa(2, 2), "medusa_lm_head.pt", {}),
    "Medusa beside a model": ("medusa", prefixed("medusa_head.", medusa()), medusa(), "pytorch_model.bin", {}),
    "Medusa of vLLM": ("medusa", as_vllm(medusa(2, 2), 2), medusa(2, 2), "model.safetensors", {}),
    "accelerator": (
        *("mlp_speculator", prefixed("speculator.", accelerator()), prefixed("speculator.", accelerator())),
        "pytorch_model.bin",
        {"n_predict": 2, "inner_dim": INNER, "emb_dim": WIDTH, "top_k_tokens_per_head": [3, 2]},
    ),
    "accelerator, bare": (
        "mlp_speculator",
        accelerator(3),
        prefixed("speculator.", accelerator(3)),
        "model.safetensors",
        {},
    ),
}


@pytest.mark.parametrize("layout", PUBLISHED)
def test_what_is_published_is_converted_and_runs(layout: str, written: Written, llama: Target, tmp_path: Path) -> None:
    method, tensors, wanted, name, config = PUBLISHED[layout]
    found = convert(written(tensors, name, **config), tmp_path / "out")
    assert (found.method, found.num_tensors) == (method, len(wanted))
    kept = load_file(tmp_path / "out" / "model.safetensors")
    assert kept.keys() == wanted.keys()
    assert all(torch.equal(kept[name], wanted[name]) for name in wanted)
    settings = GenerationConfig(max_new_tokens=12)
    plain = list(generate(llama, drafters.create("plain", {}, llama), [3, 1, 4], settings))
    drafter = drafters.create(method, {"weights": str(tmp_path / "out"), "budget": 6}, llama)
    assert audit(llama, plain, list(generate(llama, drafter, [3, 1, 4], settings))).verdict == "identical"


def medusa_scores(tensors: Arrays, hidden: Array, num_heads: int, num_blocks: int, names: tuple[str, str]) -> Array:
    """As the format says, in float64: a head is residual blocks with SiLU and an output layer; `names` of a layout."""
    found = []
    for head in range(num_heads):
        y = hidden
        for block in range(num_blocks):
            linear = names[0].format(head=head, block=block)
            z = tensors[f"{linear}.weight"] @ y + tensors[f"{linear}.bias"]
            y = y + z / (1 + np.exp(-z))
        found.append(tensors[names[1].format(head=head, block=num_blocks)] @ y)
    return np.stack(found)


BLOCKS, OUTPUTS = "{head}.{block}.linear", "{head}.{block}.weight"
NAMED: dict[str, tuple[int, int, tuple[str, str]]] = {
    "Medusa": (2, 1, (BLOCKS, OUTPUTS)),
    "Medusa, which says fewer": (3, 1, (BLOCKS, OUTPUTS)),
    "Medusa of two blocks": (2, 2, (BLOCKS, OUTPUTS)),
    "Medusa beside a model": (2, 1, (f"medusa_head.{BLOCKS}", f"medusa_head.{OUTPUTS}")),
    "Medusa of vLLM": (2, 2, ("blocks.{head}.layers.{block}", "lm_heads.{head}.weight")),
}


@pytest.mark.parametrize("layout", NAMED)
def test_medusas_heads_score_as_the_published_tensors_say(
    layout: str, written: Written, llama: Target, tmp_path: Path
) -> None:
    """By the names that each layout gives them, past renaming."""
    _, tensors, _, name, config = PUBLISHED[layout]
    convert(written(tensors, name, **config), tmp_path / "out")
    drafter = drafters.create("medusa", {"weights": str(tmp_path / "out")}, llama)
    assert isinstance(drafter, Medusa)
    hidden = some(1, WIDTH)
    wanted = medusa_scores(arrays(tensors), hidden[0].double().numpy(), *NAMED[layout])
    np.testing.assert_allclose(drafter.heads.scores(hidden).numpy(), wanted, rtol=1e-3, atol=1e-4)


def accelerator_scores(tensors: Arrays, hidden: Array, tokens: list[int], prefix: str) -> Array:
    """As the format says, in float64: what each stage scores when these tokens are chosen before it."""
    state_weight = 0.5 ** (0.5 / len(tokens))
    emb_weight = math.sqrt((1 - state_weight**2) * (INNER / 2))
    state, found = hidden, []
    for stage, token in enumerate(tokens):
        proj, emb, head, norm, bias = (
            tensors[f"{prefix}{part}"]
            for part in (
                *(f"proj.{stage}.weight", f"emb.{stage}.weight", f"head.{stage}.weight"),
                *(f"ln.{stage}.weight", f"ln.{stage}.bias"),
            )
        )
        mixed = proj @ state + emb_weight / state_weight * emb[token]
        normed = mixed / np.sqrt(np.mean(mixed * mixed) + 1e-6) * norm + bias
        state = 0.5 * normed * (1 + np.vectorize(math.erf)(normed / math.sqrt(2)))
        found.append(head @ state)
    return np.stack(found)


@pytest.mark.parametrize(("layout", "prefix"), [("accelerator", "speculator."), ("accelerator, bare", "")])
def test_an_accelerators_stages_score_as_the_published_tensors_say(
    layout: str, prefix: str, written: Written, llama: Target, tmp_path: Path
) -> None:
    _, tensors, _, name, config = PUBLISHED[layout]
    convert(written(tensors, name, **config), tmp_path / "out")
    drafter = drafters.create("mlp_speculator", {"weights": str(tmp_path / "out")}, llama)
    assert isinstance(drafter, MlpSpeculator)
    hidden, tokens = some(1, WIDTH), [5, 17, 2][: drafter.speculator.num_heads]
    wanted = accelerator_scores(arrays(tensors), hidden[0].double().numpy(), tokens, prefix)
    state = drafter.speculator.first_state(hidden)
    for stage, token in enumerate(tokens):
        state, scores = drafter.speculator.advance(stage, state, torch.tensor([token]))
        np.testing.assert_allclose(scores[0].numpy(), wanted[stage], rtol=1e-3, atol=1e-4)


def test_numbers_of_a_config_that_a_method_reads_are_kept_and_others_are_not(written: Written, tmp_path: Path) -> None:
    source = written(
        accelerator(), top_k_tokens_per_head=[4, 3], n_candidates=6, tie_weights=False, auto_map={"x": "y"}
    )
    convert(source, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {
        "method": "mlp_speculator",
        "n_predict": 2,
        "emb_dim": WIDTH,
        "inner_dim": INNER,
        "vocab_size": VOCAB_SIZE,
        "top_k_tokens_per_head": [4, 3],
        "n_candidates": 6,
        "tie_weights": False,
        "converted_from": "IBM accelerators",
    }


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_not_run(written: Written, tmp_path: Path) -> None:
    source = written({}, "medusa_lm_head.pt")
    (source / "medusa_lm_head.pt").write_bytes(pickle.dumps(Trap(tmp_path / "run"), protocol=2))
    with pytest.raises(BadInput, match="holds more than tensors"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "run").exists()


REFUSED: dict[str, tuple[Any, str, dict[str, Any], str]] = {
    "Hydra": ({"hydra_mlp.self_attn.k_proj.weight": some(4, 4)}, "m.safetensors", {}, "looks like Hydra"),
    "a whole model": ({"model.layers.0.self_attn.q_proj.weight": some(4, 4)}, "pytorch_model.bin", {}, "a whole model"),
    "nobody's": ({"thing.weight": some(4, 3)}, "model.safetensors", {}, r"It holds thing\.weight \(4, 3\)"),
    "one tensor too many": (medusa() | {"x": some(2)}, "model.safetensors", {}, "in no layout that is known"),
    "no blocks": ({"0.1.weight": some(4, 4)}, "model.safetensors", {}, "no residual block"),
    "no matrix": ({"emb.0.weight": some(4)}, "model.safetensors", {}, "no matrix speculator.emb.0.weight"),
    "another config": (accelerator(), "model.safetensors", {"inner_dim": 9}, "inner_dim=9, and the tensors 24"),
    "numbers": ({"a": 3}, "pytorch_model.bin", {}, "something else than tensors"),
    "nothing": ({}, "pytorch_model.bin", {}, "holds no tensors"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_gets_a_sentence_and_leaves_nothing(
    case: str, written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors, name, config, told = REFUSED[case]
    with pytest.raises(BadInput, match=told):
        convert(source := written(tensors, name, **config), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["published"]
    assert cli.main(["convert", str(source), str(tmp_path / "out")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_files_that_are_cut_off_missing_or_in_the_way(written: Written, tmp_path: Path) -> None:
    source = written(medusa())
    with pytest.raises(BadInput, match="There is no file or folder"):
        convert(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no weights"):
        convert(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(BadInput, match="is there already"):
        convert(source, source)
    whole = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="is cut off"):
        convert(source, tmp_path / "out")


def test_the_command_says_how_to_use_what_it_made(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["convert", str(written(medusa())), str(tmp_path / "out")]) == 0
    assert f"--method medusa --set weights={tmp_path / 'out'}" in capsys.readouterr().out
