"""A GGUF file to a folder of safetensors, as transformers dequantises it. Knows no cache.

Matrices that are not quantised keep their width, float32 or float16; quantised ones become bf16. Configuration,
tokenizer, chat template and tokens that end a text are read from the same file.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    modeling_gguf_pytorch_utils,
)

from engine.errors import BadInput, first_line
from engine.models import memory, watch

READER = "gguf"
"""The package that transformers reads such files with."""
_MAGIC = b"GGUF"
_UNKNOWN_KIND = re.compile(r"not supported|not (yet )?implemented|not a valid \w*type", re.IGNORECASE)


def convert(source: Path, folder: Path) -> None:
    """Write the file's model into a folder. Raises BadInput for what cannot be read, as below, else OSError.

    A full disk raises safetensors' own error.
    """
    _check_memory(source)
    with _reading_told():
        model, tokenizer = _read(source)
    watch.report(f"Writing {source.stem} in bf16")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check_memory(source: Path) -> None:
    """Raises BadInput where the weights in bf16 are more than what is free."""
    needed, free = 2 * num_numbers(source), memory.free_bytes(torch.device("cpu"))
    if free is not None and free < needed:
        raise BadInput(
            f"The GGUF file {source} takes {memory.in_gigabytes(needed)} of memory to be converted to bf16, and "
            f"{memory.in_gigabytes(free)} are free; choose a smaller model, or stop what else runs here."
        )


@contextlib.contextmanager
def _reading_told() -> Iterator[None]:
    """Progress that transformers draws on tqdm's own bar, which has no hook as its other bars have."""
    reader: Any = modeling_gguf_pytorch_utils
    own = vars(reader).get("tqdm")
    if own is None or watch.current() is watch.NOBODY:
        yield
        return
    reader.tqdm = lambda items, **named: watch.Bar(items, what="Converting to bf16, once:")
    try:
        yield
    finally:
        reader.tqdm = own


def num_numbers(source: Path) -> int:
    """Weights in a GGUF file, its header read alone. Raises BadInput as `check`, or for a broken header."""
    check(source)
    from gguf import GGUFReader

    try:
        return sum(int(tensor.n_elements) for tensor in GGUFReader(source).tensors)
    except Exception as error:  # as below
        raise BadInput(_cannot_read(source, error)) from error


def can_convert() -> bool:
    """Whether the package that reads GGUF files is installed."""
    return importlib.util.find_spec(READER) is not None


def dtype_of(source: Path) -> torch.dtype:
    """What a file's matrices are written as: bf16, but what it holds in full or in half. Raises the reader's errors."""
    from gguf import GGUFReader

    kinds = {tensor.tensor_type.name for tensor in GGUFReader(source).tensors if len(tensor.shape) > 1}
    if kinds == {"F16"}:
        return torch.float16
    return torch.float32 if "F32" in kinds and kinds <= {"F32", "F16", "BF16"} else torch.bfloat16


def check(source: Path) -> None:
    """Raises BadInput where a file is no GGUF file, or where nothing here reads one."""
    try:
        with source.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise BadInput(f"The file {source} cannot be read: {error.strerror}.") from error
    if head != _MAGIC:
        raise BadInput(f"The file {source} is no GGUF file: it begins with {head!r}, wanted {_MAGIC!r}.")
    if not can_convert():
        raise BadInput(f"Reading {source} needs a package that is not installed: pip install {READER}")


def _read(source: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Raises BadInput for another kind of file, a cut-off one, an architecture or quantisation nobody knows."""
    check(source)
    how: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True, "trust_remote_code": False}
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(source.parent),
            dtype=dtype_of(source),
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            **how,
        )
        tokenizer = AutoTokenizer.from_pretrained(str(source.parent), **how)
    except watch.LoadingStopped:
        raise
    except Exception as error:  # such files are read by hand there, and break in every way
        raise BadInput(_cannot_read(source, error)) from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        raise BadInput(f"The GGUF file {source} lacks {missing[0]} and {len(missing) - 1} others; fetch it again.")
    return model, tokenizer


def _cannot_read(source: Path, error: Exception) -> str:
    if _UNKNOWN_KIND.search(str(error)):
        return f"The GGUF file {source} is of a kind that transformers does not read ({first_line(error)})."
    return f"The GGUF file {source} is cut off or corrupt ({first_line(error)}); fetch it again."
