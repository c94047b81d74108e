"""What `python -m engine train NAME` does: settings checked, data read, jobs put in a trainer.

A target is one job. A drafter is the module of its name in this package, with `train(order)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from engine import drafters, models, training
from engine.errors import BadInput, UnknownName
from engine.training import corpus
from engine.training.pretrain import Pretraining
from engine.training.recipes import MAX_CONTEXT, RECIPES, VOCAB_SIZE, Recipe
from engine.training.tokenizer import train_tokenizer
from engine.training.trainer import Trainer, mixed_precision

TARGET, DRAFT = "target", "draft"


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    name: str
    preset: str
    data: Path
    out: Path | None = None
    target: str | None = None
    limit_minutes: float | None = None
    is_resumed: bool = False
    seed: int = 1
    is_compiled: bool = False
    written: Path | None = None
    """Where text that the target wrote and its hidden states lie, for several drafters; else below `out`."""
    begin: Path | None = None
    """Weights that heads go on from."""
    texts: str = "auto"
    """What the target is asked: the story model's `tasks`, or `requests` as of any chat model."""
    variant: int | None = None
    """Which of a method's architectures, where it has several."""

    @property
    def folder(self) -> Path:
        """Where the model goes."""
        return self.out or Path("runs") / f"{self.target_name or 'story'}-{self.name}"

    @property
    def target_name(self) -> str:
        """The target's preset, or the last part of its folder or hub id; empty where there is none."""
        return str(self.target or "") if self.target in models.presets() else Path(str(self.target or "")).name

    @property
    def material(self) -> Path:
        """Where the target's written text and hidden states go."""
        return self.written or self.folder

    @property
    def device(self) -> str:
        """Where it is computed."""
        return "cuda" if self.preset == "gpu" else "cpu"

    def recipe(self, name: str, share_of_limit: float = 1.0) -> Recipe:
        """The named recipe with this order's seed and time limit."""
        recipe = replace(RECIPES[name, self.preset], seed=self.seed)
        if self.limit_minutes is None:
            return recipe
        return replace(recipe, limit_minutes=self.limit_minutes * share_of_limit)


def train(order: Order) -> None:
    """Train what was ordered. Raises BadInput for settings that cannot work."""
    if order.name not in names():
        raise UnknownName("name to train", order.name, names())
    _check(order)
    if order.name == TARGET:
        _train_target(order)
    else:
        importlib.import_module(f"{training.__name__}.{order.name}").train(order)


def names() -> list[str]:
    """What can be trained: a target, its draft model, and each method with a module of its name here."""
    own = {module.name for module in pkgutil.iter_modules(training.__path__)}
    return [TARGET, DRAFT, *(name for name in drafters.names() if name in own)]


def _check(order: Order) -> None:
    if order.limit_minutes is not None and order.limit_minutes <= 0:
        raise BadInput(f"--limit-minutes is {order.limit_minutes:g}; wanted a number above 0.")
    if order.preset == "gpu" and not torch.cuda.is_available():
        raise BadInput("Preset gpu needs a CUDA device, and none is here; use --preset cpu.")
    if (order.name == TARGET) != (order.target is None):
        raise BadInput("A drafter, and only a drafter, learns from its target: name it with --target.")


def _train_target(order: Order) -> None:
    documents = corpus.read_folder(order.data)
    texts = (d.text for d in corpus.split_heldout(documents)[0] if d.kind == "story")
    tokenizer = train_tokenizer(texts, VOCAB_SIZE, MAX_CONTEXT)
    job = Pretraining("story-target", order.recipe(TARGET), documents, tokenizer)
    order.folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(order.folder)
    run_trainer(Trainer(job, job.recipe, order.folder, order.device, is_compiled=order.is_compiled), order.is_resumed)


def run_trainer(trainer: Trainer, is_resumed: bool) -> bool:
    """Whether the run came to its end."""
    if is_resumed:
        trainer.load_checkpoint()
    return trainer.run()


def has_checkpoint(folder: Path) -> bool:
    """Whether a run was begun in this folder."""
    return (folder / "checkpoint.pt").is_file()


def load_target(name: str, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A frozen causal LM and its tokenizer, by preset, folder, GGUF file or hub id. Raises BadInput."""
    location = models.locate(name)
    options: dict[str, Any] = {"trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
        dtype = torch.bfloat16 if mixed_precision(device) == "bf16" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(location, dtype=dtype, use_safetensors=True, **options)
    except (OSError, ValueError) as error:
        raise BadInput(f"The target {name} cannot be loaded: {str(error).splitlines()[0]}") from error
    model.requires_grad_(False).eval()
    return model.to(torch.device(device)), tokenizer  # type: ignore[arg-type]


def len_vocabulary(target: PreTrainedModel) -> int:
    """Rows of the target's output layer: a drafter must score as many tokens."""
    return int(target.get_output_embeddings().weight.shape[0])
