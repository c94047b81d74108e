"""Names to loaded models: presets, hub ids and folders.

Weights come from safetensors only and remote code stays off. Loaded models are shared by all
sessions of a process; they hold no session state.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from engine.errors import BadInput, UnknownName
from engine.runtime.device import choose_device, choose_dtype

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
ASSETS = Path(__file__).resolve().parent.parent / "assets"
DEFAULT_PRESET = "story"

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
    def weights_fingerprint(self) -> str:
        """Tells one model's weights from another's; see `fingerprint_of`."""
        return fingerprint_of(self.model)

    @functools.cached_property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text, from the generation config or the tokenizer."""
        found = getattr(self.model.generation_config, "eos_token_id", None)
        found = self.tokenizer.eos_token_id if found is None else found
        return frozenset(found if isinstance(found, list) else [found] if found is not None else [])

    def encode(self, prompt: str | Sequence[Message]) -> list[int]:
        """A prompt, or a conversation that ends with the user's message, to token ids.

        In the tokenizer's chat template where it has one; else the texts, parted by blank lines.
        Raises BadInput where the last message is empty.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if not messages or not messages[-1]["content"].strip():
            raise BadInput("The prompt is empty; type a few words.")
        messages = [{**m, "content": m["content"].encode("utf-8", "replace").decode("utf-8")} for m in messages]
        if self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(self.tokenizer("\n\n".join(m["content"] for m in messages))["input_ids"])


@functools.cache
def presets() -> dict[str, Preset]:
    """The presets of assets/presets.toml by name."""
    rows = tomllib.loads((ASSETS / "presets.toml").read_text())
    return {name: Preset(name=name, **row) for name, row in rows.items()}


def load(name: str = DEFAULT_PRESET, device: str = "auto", dtype: str = "auto") -> LoadedModel:
    """A model by preset, folder or hub id. Raises BadInput or UnknownName."""
    preset = presets().get(name)
    where = choose_device(device)
    return _load(
        name, preset.target if preset else name, preset.draft if preset else None, where, choose_dtype(dtype, where)
    )


def load_draft(name: str, target: LoadedModel) -> LoadedModel:
    """The draft model for a target, on its device and in its dtype.

    "auto" is the preset's own. Raises BadInput where there is none or where its vocabulary differs.
    """
    if name == "auto":
        if target.draft is None:
            raise BadInput(f"No draft model is known for {target.name}; name one with the option model.")
        name = target.draft
    draft = _load(name, name, None, target.device, target.dtype, role="draft")
    if draft.vocabulary_fingerprint != target.vocabulary_fingerprint:
        raise BadInput(
            f"The draft model {draft.name} has another vocabulary ({len(draft.tokenizer)} tokens) than the target "
            f"{target.name} ({len(target.tokenizer)} tokens); choose a draft model that shares the target's tokenizer."
        )
    return draft


@torch.no_grad()
def fingerprint_of(model: PreTrainedModel) -> str:
    """Equal for the same weights, whatever dtype and device they are loaded to; changes where they are trained on.

    Hashed in bf16: embeddings of 256 tokens spread over the vocabulary, and every norm. Both stay as they
    are when a runner brings the other weights into its own form.
    """
    embedding = cast(torch.nn.Embedding, model.get_input_embeddings()).weight
    norms = (p for m in model.modules() if type(m).__name__.endswith("Norm") for p in m.parameters(recurse=False))
    digest = hashlib.blake2b(str(tuple(embedding.shape)).encode(), digest_size=8)
    for tensor in (embedding[:: max(1, len(embedding) // 256)], *norms):
        digest.update(tensor.detach().bfloat16().cpu().contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def weights_folder(target: LoadedModel, method: str) -> Path | None:
    """Where a method's weights for a preset's target are; None where the project has trained none."""
    folder = ASSETS / "models" / f"{target.name}-{method}"
    return folder if folder.is_dir() else None


@functools.lru_cache(maxsize=8)
def _load(
    name: str, source: str, draft: str | None, device: torch.device, dtype: torch.dtype, role: str = "target"
) -> LoadedModel:
    # `role` is part of the key: a model drafting for itself needs weights of its own, since a
    # runner changes the attention function and the layout of the model that it is given.
    location = locate(source)
    options: dict[str, Any] = {"trust_remote_code": False}
    if Path(location).is_dir():
        options["local_files_only"] = True
    try:
        config = AutoConfig.from_pretrained(location, **options)
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
        options |= {"use_safetensors": True, "output_loading_info": True}
        loaded: Any = AutoModelForCausalLM.from_pretrained(location, dtype=dtype, **options)
    except SafetensorError as error:
        raise BadInput(f"The weights of {name} are corrupt or cut off ({error}); fetch them again.") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadInput(_cannot_load(name, source, error)) from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        raise BadInput(f"The weights of {name} lack {missing[0]} and {len(missing) - 1} others; fetch them again.")
    model.requires_grad_(False).eval().to(device)
    return LoadedModel(name, model, tokenizer, context_length(config.get_text_config()), draft)


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
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    known = ", ".join(sorted(presets()))
    return f"Model {name} cannot be loaded from {source}: {reason} Presets that exist: {known}."
