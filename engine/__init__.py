"""Speculative decoding through one draft-tree loop, on any Hugging Face causal LM.

Knows token ids, tensors and events; knows no page, figure, database or HTML.
"""

import os

# numpy's own thread pool would fight torch's for the same cores, and the arrays given to it are
# small; it reads this when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# On AMX oneDNN's bf16 products depend on how many rows share them (docs/decisions/0002); below it they do not.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
