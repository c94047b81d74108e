"""Models of a published shape with made-up weights that recite, and a drafter that is right as often as it is told.

A pass costs what one of a trained model of this shape costs, and the text is known: behind token t comes t + 1, by a
wide margin, so no rounding changes it. So a speedup at a known acceptance can be measured without any weights; it says
what an engine makes of acceptance, and nothing about any drafter. Labelled synthetic wherever it is shown.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, cast

import torch
import transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedModel

from engine.drafters.base import Context, Drafter, Room
from engine.errors import UnknownName
from engine.models import LoadedModel
from engine.target import Scored, Target
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Verdict

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"vocab_size": 256, "hidden": 64, "inner": 96, "layers": 2, "heads": 4, "kv_heads": 2},
    "1B": {"vocab_size": 128_256, "hidden": 2048, "inner": 8192, "layers": 16, "heads": 32, "kv_heads": 8},
    "7B": {"vocab_size": 32_000, "hidden": 4096, "inner": 11_008, "layers": 32, "heads": 32, "kv_heads": 32},
}
"""Llama 3.2 1B and Llama 2 7B; the tiny one is to try the check itself."""
MAX_CONTEXT = 4096
_STD = 0.02
_QUIET = 1e-3
"""Scale of what layers add, so that a row's state stays its token's."""


def config_of(size: str) -> transformers.LlamaConfig:
    """A size's config. Raises UnknownName."""
    if size not in SIZES:
        raise UnknownName("size of a synthetic model", size, SIZES)
    found = SIZES[size]
    return transformers.LlamaConfig(
        vocab_size=found["vocab_size"],
        hidden_size=found["hidden"],
        intermediate_size=found["inner"],
        num_hidden_layers=found["layers"],
        num_attention_heads=found["heads"],
        num_key_value_heads=found["kv_heads"],
        max_position_embeddings=MAX_CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )


@torch.no_grad()
def reciter(size: str, device: torch.device, dtype: torch.dtype) -> LoadedModel:
    """A model of a size on a device; the same each time on one device. Raises UnknownName."""
    config = config_of(size)
    with torch.device("meta"):
        model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.to_empty(device=device)
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            weight.fill_(1)
        else:
            weight.normal_(0, _QUIET if "o_proj" in name or "down_proj" in name else _STD)
    embedding = model.get_input_embeddings().weight
    embedding.normal_()
    model.get_output_embeddings().weight.copy_(embedding.roll(1, dims=0))
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    model.requires_grad_(False).eval()
    return LoadedModel(f"synthetic {size}", cast(PreTrainedModel, model), _numerals(config.vocab_size), MAX_CONTEXT)


def following(token: int, vocab_size: int) -> int:
    """What a reciter says behind a token."""
    return (token + 1) % vocab_size


def _numerals(vocab_size: int) -> Any:
    """A tokenizer whose words are the ids."""
    words = {str(number): number for number in range(vocab_size)}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="0")))


@dataclass(frozen=True)
class OracleOptions:
    """How deep, and how often wrong."""

    depth: int
    error_rate: float


class Oracle(Drafter):
    """Knows what comes, and says something else at a set rate: no method, and in no menu."""

    name = "oracle"
    title = "Oracle (synthetic)"
    summary = "Knows the text of a synthetic model, and errs at a set rate."
    source = "this file"
    options: OracleOptions

    def __init__(self, options: OracleOptions, target: Target) -> None:
        self.options = options
        self._vocab_size = target.facts.vocab_size

    @property
    def settings(self) -> dict[str, Any]:
        """As given."""
        return dict(vars(self.options))

    def start(self, context: Context) -> None:
        super().start(context)
        self._random = random.Random(len(context.ids))

    def propose(self, context: Context, room: Room) -> DraftTree:
        token, drafted = context.root_id, list[int]()
        for _ in range(min(self.options.depth, room.chain)):
            token = following(token, self._vocab_size)
            is_wrong = self._random.random() < self.options.error_rate
            drafted.append(following(token, self._vocab_size) if is_wrong else token)
        return chain(drafted) if drafted else EMPTY_TREE

    def observe(self, verdict: Verdict, emitted: Any, scored: Scored) -> None:
        """It knows already."""
