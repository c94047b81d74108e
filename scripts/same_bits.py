"""Whether a model writes the same tokens with the same probabilities on every path that a processor may take.

    python scripts/same_bits.py MODEL [--suite story] [--limit 10] [--max-new-tokens 48]

Runs plain decoding and one drafter on the same questions in a process for each path (AMX where there is one, AVX-512,
AVX2; one thread and two) and compares every token and every probability bit by bit. Exit status 1 where any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

METHODS = ("plain", "token_recycling")
PATHS = {
    "as it is": {},
    "without AMX": {"SPECVIZ_NO_AMX": "1"},
    "AVX2 alone": {"SPECVIZ_NO_AMX": "1", "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
    "one thread": {"OMP_NUM_THREADS": "1"},
}


def written(args: argparse.Namespace) -> dict[str, str]:
    """Run by run, a digest of every token and probability."""
    from engine import drafters, models, suites
    from engine.config import GenerationConfig
    from engine.events import Stepped
    from engine.loop import generate
    from engine.target import Target

    target = Target(models.load(args.model, "cpu", args.dtype))
    config = GenerationConfig(max_new_tokens=args.max_new_tokens)
    found = {}
    for number, question in enumerate(suites.questions(args.suite, args.limit)):
        for method in METHODS:
            steps = [
                [[token.token_id, (token.target_prob or 0.0).hex()] for token in event.emitted]
                for event in generate(target, drafters.create(method, {}, target), question.turns[0], config)
                if isinstance(event, Stepped)
            ]
            tokens = [token for step in steps for token in step]
            found[f"{number} {method}"] = hashlib.blake2b(json.dumps(tokens).encode(), digest_size=8).hexdigest()
    return found


def on_path(settings: dict[str, str]) -> dict[str, str]:
    """The digests of a process of its own with these settings."""
    threads = {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    environment = {**os.environ, **threads, **settings}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare what a model writes on every path of this processor.")
    parser.add_argument("model")
    parser.add_argument("--suite", default="story")
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(written(args)))
        return 0
    found = {name: on_path(settings) for name, settings in PATHS.items()}
    first = found["as it is"]
    for name, digests in found.items():
        same = sum(digests[run] == digest for run, digest in first.items())
        print(f"{args.model}, {name}: {same} of {len(first)} runs the same bits")
    return 0 if all(digests == first for digests in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
