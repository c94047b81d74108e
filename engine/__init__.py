"""Speculative decoding through one draft-tree loop, on any Hugging Face causal LM.

Knows token ids, tensors and events; knows no page, figure, database or HTML.
"""

import os

# numpy's own thread pool would fight torch's for the same cores, and the arrays given to it are
# small; it reads this when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
