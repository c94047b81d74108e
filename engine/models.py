"""Names to loaded models: presets, hub ids and folders.

Weights come from safetensors only and remote code stays off. Loaded models are shared by all
sessions of a process; they hold no session state.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import tomllib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from engine.errors import BadInput, EngineError, UnknownName
from engine.runtime.compiled import runs_compiled
from engine.runtime.device import choose_device, choose_dtype, has_fast_bf16
from engine.runtime.families import COMPILED

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
ASSETS = Path(__file__).resolve().parent.parent / "assets"
DEFAULT_PRESET = "story"

T = TypeVar("T")
Message = Mapping[str, str]
"""`role` (user or assistant) and `content`, as chat templates read them."""


@dataclass(frozen=True)
class Preset:
    """A target with the draft model that goes with it."""

    name: str
    title: str
    target: str
    """Folder below assets/, hub id or path."""
    draft: str | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A causal LM with its tokenizer, ready to run."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_context: int
    draft: str | None = None
    """The draft model that goes with this target, if its preset names one."""
    weights_fingerprint: str = ""
    """Tells one model's weights from another's; see `fingerprint_of`."""
    kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)
    """What was made for this model and is shared by its sessions; gone when the model is."""

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this model."""
        if key not in self.kept:
            self.kept[key] = make()
        return cast(T, self.kept[key])

    @functools.cached_property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @functools.cached_property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in."""
        return self.model.dtype

    @functools.cached_property
    def vocabulary_fingerprint(self) -> str:
        """Equal for two models exactly when every token id means the same text."""
        vocabulary = sorted(self.tokenizer.get_vocab().items())
        return hashlib.blake2b(json.dumps(vocabulary).encode(), digest_size=8).hexdigest()

    @functools.cached_property
    def vocab_size(self) -> int:
        """Tokens that it reads and scores: those of its tokenizer, and rows that fill its tables up to a round size."""
        return int(self.model.config.get_text_config().vocab_size)

    @functools.cached_property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text, from the generation config or the tokenizer."""
        return frozenset(end_ids(self.model, self.tokenizer))

    def encode(self, prompt: str | Sequence[Message]) -> list[int]:
        """A prompt, or a conversation that ends with the user's message, to token ids.

        In the tokenizer's chat template where it has one; else the texts, parted by blank lines.
        Raises BadInput where the last message is empty, the template is broken, or the model lacks a token's row.
        """
        given = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if not given or not given[-1]["content"].strip():
            raise BadInput("The prompt is empty; type a few words.")
        messages = [{**m, "content": m["content"].encode("utf-8", "replace").decode("utf-8")} for m in given]
        if self.tokenizer.chat_template:
            ids = list(self.tokenizer(self._in_template(messages), add_special_tokens=False)["input_ids"])
        else:
            ids = list(self.tokenizer("\n\n".join(m["content"] for m in messages))["input_ids"])
        if max(ids, default=0) >= self.vocab_size:
            raise BadInput(
                f"The tokenizer of {self.name} gives token {max(ids)}, and the model has {self.vocab_size} of them; "
                "they do not belong together, so fetch both again from one place."
            )
        return ids

    def _in_template(self, messages: list[dict[str, str]]) -> str:
        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # a template is a program, and can fail in every way
            raise BadInput(f"The chat template of {self.name} cannot be used: {_reason(error)}.") from error


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Tokens that end a text, from the generation config or else the tokenizer; none where neither knows one."""
    found = getattr(model.generation_config, "eos_token_id", None)
    found = tokenizer.eos_token_id if found is None else found
    return tuple(found) if isinstance(found, list) else () if found is None else (int(found),)


@functools.cache
def presets() -> dict[str, Preset]:
    """The presets of assets/presets.toml by name."""
    rows = tomllib.loads((ASSETS / "presets.toml").read_text())
    return {name: Preset(name=name, **row) for name, row in rows.items()}


def load(name: str = DEFAULT_PRESET, device: str = "auto", dtype: str = "auto") -> LoadedModel:
    """A target by preset, folder or hub id, once for all who ask. Raises BadInput or UnknownName."""
    where = choose_device(device)
    return _load_target(name, where, _chosen_dtype(name, dtype, where))


def _chosen_dtype(name: str, given: str, device: torch.device) -> torch.dtype:
    """The asked-for dtype; by itself also bf16 where compiled passes read weights as they are stored."""
    if given == "auto" and runs_compiled(device) and not has_fast_bf16() and _is_read_in_bf16(name):
        return torch.bfloat16
    return choose_dtype(given, device)


def _is_read_in_bf16(name: str) -> bool:
    preset = presets().get(name)
    try:
        config = AutoConfig.from_pretrained(locate(preset.target if preset else name), trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, EngineError):
        return False  # the loader says what is wrong
    return config.model_type in COMPILED and config.dtype is torch.bfloat16


@functools.lru_cache(maxsize=8)
def _load_target(name: str, device: torch.device, dtype: torch.dtype) -> LoadedModel:
    preset = presets().get(name)
    return _load(name, preset.target if preset else name, preset.draft if preset else None, device, dtype)


def forget() -> None:
    """Let go of all models that nobody else holds, with all that was made for them."""
    _load_target.cache_clear()
    gc.collect()  # what was made for a model refers to it
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_draft(name: str, target: LoadedModel) -> LoadedModel:
    """The draft model for a target, on its device and in its dtype.

    "auto" is the preset's own. A model that drafts for itself gets weights of its own, since a runner changes
    attention and layout of the model that it is given. Raises BadInput where there is none or where its
    vocabulary differs.
    """
    if name == "auto":
        if target.draft is None:
            raise BadInput(f"No draft model is known for {target.name}; name one with the option model.")
        name = target.draft
    return target.keep(("draft model", name), lambda: _load_draft(name, target))


def _load_draft(name: str, target: LoadedModel) -> LoadedModel:
    draft = _load(name, name, None, target.device, target.dtype)
    if draft.vocabulary_fingerprint != target.vocabulary_fingerprint:
        raise BadInput(
            f"The draft model {draft.name} has another vocabulary ({len(draft.tokenizer)} tokens) than the target "
            f"{target.name} ({len(target.tokenizer)} tokens); choose a draft model that shares the target's tokenizer."
        )
    return draft


FINGERPRINT_ROWS = 8
FINGERPRINT_TOKENS = 256


@torch.no_grad()
def fingerprint_of(model: PreTrainedModel) -> str:
    """Equal for the same weights on every device, in bf16 and fp32; changes where they are trained on or merged with.

    Hashed in bf16: rows of every parameter, spread over it, of the embeddings most. Of weights as they were
    loaded: a runner brings them into a form of its own.
    """
    embedding = cast(torch.nn.Embedding, model.get_input_embeddings()).weight
    digest = hashlib.blake2b(digest_size=8)
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        num_rows = FINGERPRINT_TOKENS if parameter is embedding else FINGERPRINT_ROWS
        rows = parameter if parameter.ndim < 2 else parameter[:: max(1, len(parameter) // num_rows)]
        digest.update(rows.detach().bfloat16().cpu().contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def weights_folder(target: LoadedModel, method: str) -> Path | None:
    """Where a method's weights for a preset's target are; None where the project has trained none."""
    folder = ASSETS / "models" / f"{target.name}-{method}"
    return folder if folder.is_dir() else None


def _load(name: str, source: str, draft: str | None, device: torch.device, dtype: torch.dtype) -> LoadedModel:
    location = locate(source)
    options: dict[str, Any] = {"trust_remote_code": False}
    if Path(location).is_dir():
        options["local_files_only"] = True
    try:
        config = AutoConfig.from_pretrained(location, **options)
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
        fingerprint = None
        if dtype == torch.float16:  # rounds otherwise than bf16, in which weights are told apart
            fingerprint = fingerprint_of(_read_weights(name, location, torch.bfloat16, options))
        model = _read_weights(name, location, dtype, options)
    except BadInput:
        raise
    except Exception as error:  # broken files make transformers and tokenizers raise all kinds, plain ones among them
        raise BadInput(_cannot_load(name, source, error)) from error
    fingerprint = fingerprint or fingerprint_of(model)
    model.requires_grad_(False).eval().to(device)
    return LoadedModel(name, model, tokenizer, context_length(config.get_text_config()), draft, fingerprint)


def _read_weights(name: str, location: str, dtype: torch.dtype, options: Mapping[str, Any]) -> PreTrainedModel:
    """The model with its weights. Raises BadInput where they are not whole."""
    how = {**options, "use_safetensors": True, "output_loading_info": True}
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(location, dtype=dtype, **how)
    except SafetensorError as error:
        raise BadInput(f"The weights of {name} are corrupt or cut off ({error}); fetch them again.") from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        raise BadInput(f"The weights of {name} lack {missing[0]} and {len(missing) - 1} others; fetch them again.")
    return cast(PreTrainedModel, model)


def locate(source: str) -> str:
    """A folder below assets/, a folder as given, or a hub id as it is. Raises UnknownName."""
    for folder in (ASSETS / source, Path(source).expanduser()):
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise BadInput(f"The folder {source} holds no config.json; wanted a Hugging Face model folder.")
            return str(folder)
    looks_like_hub_id = source.count("/") == 1 and not source.startswith((".", "/", "~"))
    if not looks_like_hub_id:
        raise UnknownName("model", source, presets())
    return source


def context_length(config: Any) -> int:
    """Tokens that the model can attend to; a model whose every layer slides is held to its window."""
    length = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048
    types = set(getattr(config, "layer_types", None) or [])
    window = getattr(config, "sliding_window", None)
    slides = types == {"sliding_attention"} or (not types and window)
    return int(min(length, window) if slides and window else length)


def _cannot_load(name: str, source: str, error: Exception) -> str:
    known = ", ".join(sorted(presets()))
    return f"Model {name} cannot be loaded from {source}: {_reason(error)}. Presets that exist: {known}."


def _reason(error: Exception) -> str:
    """The first line of what went wrong, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(error).__name__
