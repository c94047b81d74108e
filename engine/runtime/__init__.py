"""How a causal LM's forward pass is run: device and dtype, KV cache, attention, row buckets."""

from engine.runtime.device import choose_device, choose_dtype, machine
from engine.runtime.passes import Rows
from engine.runtime.runner import ModelRunner

__all__ = ["ModelRunner", "Rows", "choose_device", "choose_dtype", "machine"]
