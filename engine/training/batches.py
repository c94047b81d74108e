"""Many texts that a model goes on with at once: one batch, keys and values written in place, ended rows let go.

`generate` moves all keys and values at every token and attends with one query as if there were many: on a CPU a
batch of 64 rows took 325 ms a token with it and 105 ms so (docs/log.md, 2026-11-30). What the output layer read is
given back too, so that hidden states cost no second pass. Bits may differ from the engine's own decoding in near-ties:
this is text to learn from. Knows a model and token ids; knows no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "many_rows"
RANKED = 512
"""Likeliest tokens among which top-p draws."""
ROOM = 64
"""Tokens by which the room for keys and values grows."""
KEPT_SHARE = 0.75
"""Rows are let go when so few of a batch go on: moving keys and values costs as much as a few tokens."""


@dataclass(frozen=True)
class Text:
    """A prompt with what the model wrote behind it."""

    ids: list[int]
    hidden: Tensor
    """(t, h): what the output layer read at each of the first t = len(ids) - 1 places; bf16."""


@dataclass
class _Row:
    """One text while it grows."""

    ids: list[int]
    hidden: list[Tensor]


@torch.inference_mode()
def continued(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    ends: Sequence[int],
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
) -> list[Text]:
    """Each prompt with its continuation, up to the first of `ends`; likeliest tokens, or drawn by torch's generator."""
    texts = [_Row(list(ids), []) for ids in prompts]
    with _attending(model), _output_inputs(model) as read:
        ids, mask = _left_padded(prompts, model.device)
        cache = DynamicCache()
        cache.layers = [_InPlace() for _ in range(model.config.get_text_config().num_hidden_layers)]
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        rows = list(range(len(texts)))
        is_going = [True] * len(texts)
        for _ in range(max_new_tokens):
            how = {"position_ids": positions, "past_key_values": cache, "use_cache": True, "logits_to_keep": 1}
            output = model(ids, attention_mask=mask, **how)
            chosen = _choose(output.logits[:, -1], temperature, top_p)
            _append(texts, rows, is_going, read, chosen.tolist(), set(ends), mask)
            going = [place for place, row in enumerate(rows) if is_going[row]]
            if not going:
                break
            if len(going) <= KEPT_SHARE * len(rows):
                kept = torch.tensor(going, device=model.device)
                rows, chosen, mask, positions = [rows[p] for p in going], chosen[kept], mask[kept], positions[kept]
                cache.batch_select_indices(kept)
            ids, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat((mask, mask.new_ones(len(rows), 1)), dim=1)
    return [Text(text.ids, torch.cat(text.hidden)) for text in texts]


def _append(
    texts: list[_Row],
    rows: list[int],
    is_going: list[bool],
    read: list[Tensor],
    chosen: list[int],
    ends: set[int],
    mask: Tensor,
) -> None:
    """The pass's hidden states and tokens to the texts that still grow."""
    hidden = read.pop().bfloat16().cpu()
    for place, (row, token) in enumerate(zip(rows, chosen, strict=True)):
        if is_going[row]:
            text = texts[row]
            text.hidden.append(hidden[place, -len(text.ids) :] if not text.hidden else hidden[place])
            text.ids.append(token)
            is_going[row] = token not in ends


def _left_padded(prompts: Sequence[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
    return ids, mask


def _choose(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """(b, v) scores → (b,) tokens."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    probs = (logits.float() / temperature).softmax(dim=-1)
    if top_p == 1:
        return probs.multinomial(1)[:, 0]
    ranked, order = probs.topk(min(RANKED, probs.shape[-1]), dim=-1)  # all of them take as long as the pass
    ranked[ranked.cumsum(dim=-1) - ranked >= top_p] = 0
    return order.gather(1, ranked.multinomial(1))[:, 0]


@contextmanager
def _output_inputs(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """A list to which each pass adds what its decoder gives, (b, t, h)."""
    found: list[Tensor] = []
    hook = model.base_model.register_forward_hook(lambda _module, _args, output: found.append(output[0]))
    try:
        yield found
    finally:
        hook.remove()


@contextmanager
def _attending(model: PreTrainedModel) -> Iterator[None]:
    own = model.config._attn_implementation
    model.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(own)


class _InPlace(DynamicLayer):
    """Keys and values with room behind them, all of it shown: a product over part of a buffer would copy that part."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Adds (b, heads, t, d) of each; gives back all there is and the room behind it."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        keys, values = cast(Tensor, self.keys), cast(Tensor, self.values)
        end = self.length + key_states.shape[2]
        if end > keys.shape[2]:
            more = (0, 0, 0, -(-end // ROOM) * ROOM - keys.shape[2])
            keys, values = (nn.functional.pad(part, more) for part in (keys, values))
        keys[:, :, self.length : end], values[:, :, self.length : end] = key_states, value_states
        self.keys, self.values, self.length = keys, values, end
        return keys, values

    def get_seq_length(self) -> int:
        """Tokens, without the room behind them."""
        return self.length


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """A prompt by the library, where it can; else queries (b, heads, n, d), those of a group of keys together."""
    num_queries = query.shape[2]
    if num_queries > 1:
        key, value = key[:, :, :num_queries], value[:, :, :num_queries]  # nothing is before a prompt
    if num_queries > 1 and softcap is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    return _grouped(query * (scaling or query.shape[-1] ** -0.5), key, value, attention_mask, softcap), None


def _grouped(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, softcap: float | None) -> Tensor:
    """(b, n, heads, d) of keys and values (b, groups, t, d); `seen` is True where a query looks."""
    batch, num_heads, num_queries, size = query.shape
    groups, length = key.shape[1], key.shape[2]
    together = query.reshape(batch * groups, -1, size)
    scores = torch.bmm(together, key.reshape(batch * groups, length, size).mT).float()
    scores = scores.view(batch, num_heads, num_queries, length)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    seen = nn.functional.pad(seen, (0, length - seen.shape[-1]), value=False)
    weights = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1).nan_to_num().to(value.dtype)
    found = torch.bmm(weights.view(batch * groups, -1, length), value.reshape(batch * groups, length, size))
    return found.view(batch, num_heads, num_queries, size).transpose(1, 2)


def _mask(*args: Any, **options: Any) -> Tensor | None:
    """The library's mask, also where it is all of a triangle: the room behind a text must be told from it."""
    return sdpa_mask(*args, **options | {"allow_is_causal_skip": False})


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, _mask)
