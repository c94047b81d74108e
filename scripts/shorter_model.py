"""Makes a draft model of a target by leaving out the layers that it can best spare.

    PYTHONPATH=. python scripts/shorter_model.py --model MODEL --out FOLDER [--leave-out N] [--text FILE]

Each of the model's layers is left out once, all but the first and last two; those whose absence moves the model's own
distributions least are left out together. No training: a stand-in where rules and context are to be measured on a
target that has no draft model, and no claim of speed, since it is nearly as dear as the target.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

TEXT = """The river rose in the night. By morning the lower field was under water, and the sheep stood close together
on the bank. "We should have moved them yesterday," said Anna. Her brother counted them twice. To find the mean of a
list of numbers, add them all and divide by how many there are: def mean(numbers): return sum(numbers) / len(numbers).
"""
_LAYER = re.compile(r"(.*\.layers\.)(\d+)(\..*)")


def main() -> None:
    """Measure, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True, type=Path, help="a folder with config.json and model.safetensors")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--leave-out", type=int, default=6, help="how many layers")
    parser.add_argument("--text", type=Path, help="what is read to measure (default: a few lines of the script's own)")
    given = parser.parse_args()
    text = given.text.read_text(encoding="utf-8") if given.text else TEXT
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(given.model)(text, return_tensors="pt").input_ids
    moved = moved_by_layer(model, ids)
    left_out = sorted(sorted(moved, key=lambda layer: moved[layer])[: given.leave_out])
    kept = [layer for layer in range(len(model.model.layers)) if layer not in left_out]
    write(given.model, given.out, kept)
    print(f"Left out {left_out}, each alone moving {', '.join(f'{moved[layer]:.3f}' for layer in left_out)}.")


def moved_by_layer(model: PreTrainedModel, ids: Tensor) -> dict[int, float]:
    """Mean total variation that leaving a layer out makes, by layer."""
    whole, layers = laws_of(model, ids), list(model.model.layers)
    found = {}
    for layer in range(2, len(layers) - 2):
        model.model.layers = torch.nn.ModuleList(layers[:layer] + layers[layer + 1 :])
        found[layer] = float((laws_of(model, ids) - whole).abs().sum(dim=1).mean() / 2)
    model.model.layers = torch.nn.ModuleList(layers)
    return found


@torch.inference_mode()
def laws_of(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Distributions (n, v) behind each token."""
    laws: Tensor = model(input_ids=ids, use_cache=False).logits[0].softmax(dim=1)
    return laws


def write(source: Path, out: Path, kept: Sequence[int]) -> None:
    """The model's folder with these layers alone."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        found = _LAYER.fullmatch(name)
        if found is None:
            tensors[name] = tensor
        elif int(found[2]) in kept:
            tensors[f"{found[1]}{kept.index(int(found[2]))}{found[3]}"] = tensor
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = len(kept)
    (out / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
