"""Record the run of the guided tour with the embedded model: `python scripts/record_tour.py`. Writes assets/tour.jsonl.

A tree of the draft model, short enough to read whole. The tour names its steps by what happens in them, so a new
recording needs no other change as long as it holds a whole acceptance and a correction.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT / "assets" / "tour.jsonl"
PROMPT = (
    "Write a short story.\nCharacter: a little rabbit named Max\nSetting: the garden\n"
    "What happens: Max found a shiny key under a flower\nLesson: always tell the truth"
)
SETTINGS = ("width=3", "nodes=12", "depth=4", "min_confidence=0")
NUM_TOKENS = 48


def main() -> int:
    """Decode once and keep the events."""
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "engine", "generate", "--model", "story", "--method", "draft_model"]
    command += [*options, "--prompt", PROMPT, "--max-new-tokens", str(NUM_TOKENS), "--events", str(RECORDING)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
