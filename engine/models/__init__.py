"""Names to loaded models: presets, hub ids, folders and GGUF files.

Weights come from safetensors, or from GGUF files that are converted to them; remote code stays off. Loaded models are
shared by all sessions of a process; they hold no session state.
"""

from __future__ import annotations

from engine.conversation import Message
from engine.models.chat import thinking_switch
from engine.models.default import Default, default_model
from engine.models.fingerprint import fingerprint_of
from engine.models.kin import is_kin, origin, published_heads
from engine.models.loaded import LoadedModel, context_length, end_ids
from engine.models.loading import DraftSpec, forget, load, load_draft, own_draft
from engine.models.locating import locate, weights_folder
from engine.models.presets import ASSETS, PREFERRED, STORY, Preset, kind_of, presets

__all__ = [
    "ASSETS",
    "PREFERRED",
    "STORY",
    "Default",
    "DraftSpec",
    "LoadedModel",
    "Message",
    "Preset",
    "context_length",
    "default_model",
    "end_ids",
    "fingerprint_of",
    "forget",
    "is_kin",
    "kind_of",
    "load",
    "load_draft",
    "locate",
    "origin",
    "own_draft",
    "presets",
    "published_heads",
    "thinking_switch",
    "weights_folder",
]
