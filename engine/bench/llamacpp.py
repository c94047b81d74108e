"""llama.cpp on the same weights, where its package is installed: plain, and with its prompt lookup.

It is given token ids and decodes greedily. Nothing of an earlier prompt is reused, since no other contender does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from engine.bench import gguf_file
from engine.cores import usable_cores
from engine.errors import BadInput, first_line
from engine.models import LoadedModel

REQUIREMENTS = "requirements-peers.txt"
NUM_LOOKUP_TOKENS = 2
"""Drafted by its prompt lookup: what its own guide recommends for a CPU (10 on a GPU)."""


class LlamaPeer:
    """One of its ways of decoding."""

    def __init__(self, name: str, llama: Any, eos_ids: Collection[int], **options: object) -> None:
        self.name = name
        self.options: dict[str, object] = options
        self._llama = llama
        self._eos_ids = eos_ids

    def generate(self, prompt_ids: list[int], max_new_tokens: int) -> list[int]:
        """Greedy output token ids, end-of-text token included as the engine does."""
        output: list[int] = []
        self._llama.reset()
        for token in self._llama.generate(prompt_ids, temp=0.0, repeat_penalty=1.0):
            output.append(int(token))
            if token in self._eos_ids or len(output) == max_new_tokens:
                break
        return output


def load(model: PreTrainedModel, loaded: LoadedModel) -> list[LlamaPeer]:
    """Both of them on transformers' `model` of these weights. Raises BadInput where they cannot be had."""
    if loaded.device.type != "cpu":
        raise BadInput(f"The model runs on {loaded.device}, and llama.cpp is compared on a CPU only.")
    try:
        from llama_cpp import Llama
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding
    except ImportError as error:
        raise BadInput(f"Its package is not installed: pip install -r {REQUIREMENTS}.") from error
    lookup = LlamaPromptLookupDecoding(num_pred_tokens=NUM_LOOKUP_TOKENS)
    # Both read the file into their own memory, so that it can go.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.gguf"
        options = _written(path, model, loaded)
        try:
            plain = Llama(**options)
            looking_up = Llama(**options, draft_model=lookup, logits_all=True)
        except ValueError as error:
            raise BadInput(f"It does not take the weights: {first_line(error)}.") from error
    num_threads = options["n_threads"]
    return [
        LlamaPeer("llama.cpp", plain, loaded.eos_ids, n_threads=num_threads),
        LlamaPeer(
            "llama.cpp(prompt_lookup)",
            looking_up,
            loaded.eos_ids,
            n_threads=num_threads,
            num_pred_tokens=NUM_LOOKUP_TOKENS,
        ),
    ]


def _written(path: Path, model: PreTrainedModel, loaded: LoadedModel) -> dict[str, Any]:
    """Write the weights; how they are to be loaded."""
    try:
        gguf_file.write(path, model)
    except ImportError as error:
        raise BadInput(f"The package gguf is not installed: pip install -r {REQUIREMENTS}.") from error
    except OSError as error:
        raise BadInput(f"The weights cannot be written to {path.parent}: {error.strerror}.") from error
    return {
        "model_path": str(path),
        "n_ctx": loaded.max_context,
        "n_threads": usable_cores(),
        "n_threads_batch": usable_cores(),
        "use_mmap": False,
        "verbose": False,
    }
