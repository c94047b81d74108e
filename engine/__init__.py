"""Speculative decoding through one draft-tree loop, on any Hugging Face causal LM.

Knows token ids, tensors and events; knows no page, figure, database or HTML.
"""

import os
import sys

from engine.cores import usable_cores
from engine.kernel_cache import kernel_folder

# numpy's own thread pool would fight torch's for the same cores, and the arrays given to it are
# small; it reads this when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# torch would take the host's cores, also where this process was given fewer.
os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
# numba's pool would have a thread for each core of the affinity, whatever the quota. It refuses another number later.
if "numba" not in sys.modules:
    os.environ.setdefault("NUMBA_NUM_THREADS", str(usable_cores()))
# torch's threads would go on looking for work on the core that a compiled pass needs next (docs/log.md, 2026-11-29).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder()))
