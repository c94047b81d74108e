"""Sources to loaded models, and which of them are held.

A model is shared by all who ask while anybody holds it. Of those that nobody holds the last ones stay, to be asked
for again, until the memory is needed or `forget` is called.
"""

from __future__ import annotations

import functools
import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)

from engine.errors import BadInput, EngineError, first_line
from engine.facts import TargetFacts
from engine.models import fetching, memory, quantised, watch
from engine.models.fingerprint import fingerprint_of
from engine.models.loaded import LoadedModel, context_length
from engine.models.locating import locate, weights_folder
from engine.models.placing import Wish
from engine.models.presets import draft_of, how_to_get, presets
from engine.runtime.compiled import runs_compiled
from engine.runtime.device import choose_device, choose_dtype, has_fast_bf16, release
from engine.runtime.families import COMPILED

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
if hasattr(transformers.utils.logging, "set_tqdm_hook"):
    transformers.utils.logging.set_tqdm_hook(lambda make, given, named: _bar(make, given, named))

Kind = Literal["causal", "masked"]
_CLASSES: dict[Kind, Any] = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM}
MOST_UNUSED = 2
"""Models that are held though nobody uses them."""
ROOM_TOKENS = 2048
"""Tokens of text whose keys and values must have room beside the weights."""

_Asked = tuple[str, torch.device, torch.dtype, str]
_LOADED: weakref.WeakValueDictionary[_Asked, LoadedModel] = weakref.WeakValueDictionary()
_LAST: deque[LoadedModel] = deque(maxlen=MOST_UNUSED)
_LOADING = threading.Lock()


@dataclass(frozen=True)
class DraftSpec:
    """A draft model as it is asked for; what is "target" or 0 is as the target has it."""

    source: str = "auto"
    """Preset, folder, GGUF file or hub id; "auto" is the preset's own."""
    device: str = "target"
    dtype: str = "target"
    max_tokens: int = 0
    """Most tokens of context; 0 all that it can attend to."""
    kind: Kind = "causal"
    """Whether it foresees the next token or fills in masks."""
    method: str = ""
    """Which method it was trained for, of whose weights "auto" is the target's own; empty: any draft model."""


@dataclass(frozen=True)
class _Order:
    """One model to be read from disk."""

    name: str
    device: torch.device
    dtype: torch.dtype
    kind: Kind = "causal"
    packing: str = ""
    """int8 or int4; empty: weights are held in the dtype."""
    may_spread: bool = False

    @functools.cached_property
    def location(self) -> str:
        """Folder or hub id; a GGUF file is converted to a folder first. Raises BadInput or UnknownName."""
        return locate(self.name)

    @property
    def options(self) -> dict[str, Any]:
        """How transformers is to read it."""
        is_local = {"local_files_only": True} if Path(self.location).is_dir() else {}
        return {"trust_remote_code": False, **is_local}


def load(name: str, device: str = "auto", dtype: str = "auto") -> LoadedModel:
    """A target by preset, folder, GGUF file or hub id, once for all who ask. Raises BadInput or UnknownName.

    `dtype` may also be int8 or int4. On "auto" or "cuda" what is too large for one GPU is spread over all and the host.
    """
    where, packing = choose_device(device), dtype if dtype in quantised.BITS else ""
    asked = name, where, chosen_dtype(name, "auto" if packing else dtype, where), packing
    with _LOADING:
        found = _LOADED.get(asked)
        if found is None:
            order = _Order(*asked[:3], packing=packing, may_spread=device in ("auto", "cuda"))
            found = replace(_load(order), draft=draft_of(name))
            _LOADED[asked] = found
        if found not in _LAST:
            _LAST.append(found)
        return found


def forget() -> None:
    """Let go of all models that nobody else holds, with all that was made for them."""
    _LAST.clear()
    gc.collect()  # what was made for a model refers to it
    release()


def load_draft(spec: DraftSpec, target: TargetFacts) -> LoadedModel:
    """A draft model for a target, once for all who ask; gone when the target is.

    A model that drafts for itself gets weights of its own on a CPU, since a compiled runner changes attention and
    layout of the model that it is given; on a GPU it is the target's. Raises BadInput where there is none or where
    its vocabulary differs.
    """
    if spec.source == "auto":
        if (source := own_draft(target, spec.method)) is None:
            raise BadInput(
                f"No {spec.method or 'draft'} model is known for {target.name}; name one with the option model."
            )
        spec = replace(spec, source=source)
    return target.keep(("draft model", spec), lambda: _load_draft(spec, target))


def own_draft(target: TargetFacts, method: str = "") -> str | None:
    """The draft model that a target's preset names, or the one that this project trained for a method."""
    if not method:
        return target.draft
    folder = weights_folder(target, method)
    return None if folder is None else str(folder)


def _load_draft(spec: DraftSpec, target: TargetFacts) -> LoadedModel:
    device = target.device if spec.device == "target" else choose_device(spec.device)
    dtype = target.dtype if spec.dtype == "target" else choose_dtype(spec.dtype, device)
    if isinstance(target, LoadedModel) and spec.source == target.name and spec.kind == "causal":
        is_same = (device, dtype) == (target.device, target.dtype)
        draft = target if is_same and not runs_compiled(device) else _load(_Order(spec.source, device, dtype))
    else:
        draft = _load(_Order(spec.source, device, dtype, spec.kind))
    if draft.vocabulary_fingerprint != target.vocabulary_fingerprint:
        raise BadInput(
            f"The draft model {draft.name} has another vocabulary ({len(draft.tokenizer)} tokens) than the target "
            f"{target.name} ({len(target.tokenizer)} tokens); choose a draft model that shares the target's tokenizer."
        )
    return replace(draft, max_context=min(draft.max_context, spec.max_tokens or draft.max_context))


def chosen_dtype(name: str, given: str, device: torch.device) -> torch.dtype:
    """The asked-for dtype; by itself also bf16 where compiled passes read weights as they are stored."""
    if given == "auto" and runs_compiled(device) and not has_fast_bf16() and _is_read_in_bf16(name):
        return torch.bfloat16
    return choose_dtype(given, device)


def _is_read_in_bf16(name: str) -> bool:
    try:
        config = AutoConfig.from_pretrained(locate(name), trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, EngineError):
        return False  # the loader says what is wrong
    return config.model_type in COMPILED and config.dtype is torch.bfloat16


def _bar(make: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What transformers draws its progress on: nothing where nobody waits for it."""
    if watch.current() is watch.NOBODY:
        return make(*given, **named)
    return watch.Bar(given[0] if given else None, what=str(named.get("desc") or "Loading"), total=named.get("total"))


def _load(order: _Order) -> LoadedModel:
    location, options = order.location, order.options
    if not Path(location).is_dir():
        fetching.bring(location)
    watch.report(f"Reading {order.name}")
    packing = quantised.settings(order.packing, order.device, order.dtype) if order.packing else None
    try:
        config = AutoConfig.from_pretrained(location, **options)
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
        places = _make_room(order, config)
        fingerprint = None
        if order.dtype == torch.float16 or packing is not None:  # weights are told apart in bf16, rounded so alone
            fingerprint = fingerprint_of(_read_weights(replace(order, dtype=torch.bfloat16, packing=""), {}))
        model = _read_weights(order, {**places, "quantization_config": packing} if packing else places)
    except (BadInput, watch.LoadingStopped):
        raise
    except Exception as error:  # broken files make transformers and tokenizers raise all kinds, plain ones among them
        raise BadInput(_cannot_load(order, error)) from error
    fingerprint = fingerprint or _fingerprint(model)
    whole: Any = model.requires_grad_(False).eval()
    if "device_map" not in places:
        whole.to(order.device)
    length = context_length(config.get_text_config())
    return LoadedModel(order.name, model, tokenizer, length, weights_fingerprint=fingerprint)


def _fingerprint(model: PreTrainedModel) -> str:
    """None of weights that the host holds for a GPU: no heads are known to fit them."""
    return "" if any(weight.device.type == "meta" for weight in model.parameters()) else fingerprint_of(model)


def _make_room(order: _Order, config: PretrainedConfig) -> dict[str, Any]:
    """Where it goes; lets go of unused models where their memory is needed. Raises BadInput where it does not fit."""
    needed = memory.weight_bytes(order.location, config, order.dtype, _CLASSES[order.kind])
    needed = quantised.num_bytes(order.packing, needed, order.dtype) if order.packing else needed
    needed += memory.kv_bytes(config, order.dtype, min(ROOM_TOKENS, context_length(config.get_text_config())))
    if (memory.free_bytes(order.device) or needed) < needed:
        forget()
    return Wish(order.name, order.device, order.dtype, needed, order.may_spread).placed()


def _read_weights(order: _Order, places: dict[str, Any]) -> PreTrainedModel:
    """The model with its weights. Raises BadInput where they are not whole."""
    how = {**order.options, **places, "use_safetensors": True, "output_loading_info": True}
    try:
        loaded: Any = _CLASSES[order.kind].from_pretrained(order.location, dtype=order.dtype, **how)
    except SafetensorError as error:
        raise BadInput(f"The weights of {order.name} are corrupt or cut off ({error}); fetch them again.") from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        others = len(missing) - 1
        raise BadInput(f"The weights of {order.name} lack {missing[0]} and {others} others; fetch them again.")
    return cast(PreTrainedModel, model)


def _cannot_load(order: _Order, error: Exception) -> str:
    reason = f"Model {order.name} cannot be loaded from {order.location}: {first_line(error)}."
    preset = presets().get(order.name)
    if preset and preset.package:
        return f"{reason} {how_to_get(preset)}"
    return f"{reason} Presets that exist: {', '.join(sorted(presets()))}."
