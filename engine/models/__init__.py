"""Names to loaded models: presets, hub ids and folders.

Weights come from safetensors only and remote code stays off. Loaded models are shared by all sessions of a process;
they hold no session state.
"""

from __future__ import annotations

from engine.models.chat import Message
from engine.models.fingerprint import fingerprint_of
from engine.models.loaded import LoadedModel, context_length, end_ids
from engine.models.loading import DraftSpec, forget, load, load_draft
from engine.models.locating import locate, weights_folder
from engine.models.presets import ASSETS, DEFAULT_PRESET, Preset, kind_of, presets

__all__ = [
    "ASSETS",
    "DEFAULT_PRESET",
    "DraftSpec",
    "LoadedModel",
    "Message",
    "Preset",
    "context_length",
    "end_ids",
    "fingerprint_of",
    "forget",
    "kind_of",
    "load",
    "load_draft",
    "locate",
    "presets",
    "weights_folder",
]
