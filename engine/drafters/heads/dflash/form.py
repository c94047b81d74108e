"""Sizes and flags of a block drafter's weights, as their `config.json` keeps them.

Knows a config; no tensors, no target.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from engine.drafters.heads._weights import CONFIG_FILE, Weights
from engine.errors import BadInput

MOST_BLOCK, MOST_LAYERS = 33, 64
LISTS = ("hidden_layers", "windows", "causal")


@dataclass(frozen=True)
class Form:
    """One drafter's."""

    block_size: int
    """Rows of a pass: the root's and the masks'."""
    hidden_size: int
    target_hidden_size: int
    vocab_size: int
    """The target's tokens."""
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    hidden_layers: tuple[int, ...]
    """The target's states that are read, as indices into transformers' hidden_states."""
    mask_token_id: int = -1
    """The token whose embedding a mask has; -1 where the weights hold the mask's own (`mask_embedding`)."""
    sample_from_anchor: bool = False
    """Whether the root's row foresees the token behind it, and each mask the one behind its own place."""
    windows: tuple[int, ...] = ()
    """Of each layer how many places a row looks back, its own included; 0: all. Empty: every layer looks at all."""
    causal: tuple[int, ...] = ()
    """Of each layer whether (1) a row of the block sees none behind it. Empty: rows of a block see one another."""
    rms_norm_eps: float = 1e-6
    rope: dict[str, Any] = field(default_factory=dict)
    """transformers' `rope_parameters`, the drafter's own."""
    max_position_embeddings: int = 4096
    embedding_scale: float = 1.0
    logit_scale: float = 1.0
    logit_softcap: float = 0.0
    """Logits l become c tanh(l ÷ c); 0: they stay."""

    @property
    def num_slots(self) -> int:
        """Places that a block foresees."""
        return self.block_size if self.sample_from_anchor else self.block_size - 1

    @property
    def largest_matrix(self) -> int:
        """Numbers in the largest matrix that rows and features go through, before they are scored."""
        num_columns = 2 * self.num_key_value_heads * self.head_dim
        rows = (
            len(self.hidden_layers) * self.target_hidden_size,
            self.num_hidden_layers * num_columns,
            self.num_attention_heads * self.head_dim + num_columns,
            2 * self.intermediate_size,
        )
        return self.hidden_size * max(rows)

    def config(self) -> dict[str, Any]:
        """As `read_form` reads it."""
        return {"method": "dflash", **asdict(self), **{name: list(getattr(self, name)) for name in LISTS}}


def read_form(weights: Weights, num_layers: int) -> Form:
    """What a weights folder's config says, for a target of so many layers. Raises BadInput."""
    config, path = weights.config, weights.folder / CONFIG_FILE
    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(Form) if f.type == "int"}
    low = {"mask_token_id": -1}
    numbers: dict[str, Any] = {
        name: weights.number(name, low.get(name, 1), default) for name, default in defaults.items()
    }
    if not 2 <= numbers["block_size"] <= MOST_BLOCK or numbers["num_hidden_layers"] > MOST_LAYERS:
        raise BadInput(f"block_size in {path} is {numbers['block_size']}; wanted 2 to {MOST_BLOCK}, in few layers.")
    weights.check_heads(numbers)
    form = Form(
        **numbers,
        windows=_of_layers(weights, "windows", numbers["num_hidden_layers"]),
        causal=_of_layers(weights, "causal", numbers["num_hidden_layers"]),
        hidden_layers=weights.taps(num_layers),
        sample_from_anchor=bool(config.get("sample_from_anchor", False)),
        rms_norm_eps=weights.real("rms_norm_eps", 1e-6),
        rope=weights.rope(),
        embedding_scale=weights.real("embedding_scale", 1.0),
        logit_scale=weights.real("logit_scale", 1.0),
        logit_softcap=weights.real("logit_softcap", 0.0),
    )
    if form.mask_token_id >= form.vocab_size:
        raise BadInput(f"mask_token_id in {path} is {form.mask_token_id}; the target has {form.vocab_size} tokens.")
    return form


def _of_layers(weights: Weights, name: str, num_layers: int) -> tuple[int, ...]:
    """A whole number of each layer, or none at all."""
    found = weights.config.get(name, [])
    is_list = isinstance(found, list) and all(type(number) is int and number >= 0 for number in found)
    if not is_list or len(found) not in (0, num_layers):
        raise BadInput(f"{name} in {weights.folder / CONFIG_FILE} is {found!r:.60}; wanted {num_layers} numbers.")
    return tuple(found)
