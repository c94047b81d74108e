"""Ask a running server's endpoints for all that its OpenAPI schema allows, and for what it does not, by schemathesis.

    pip install --target /tmp/trials schemathesis==4.32.5
    python app.py --port 7999 --db /tmp/endpoints.db --public --per-address 0 --run-seconds 1 --race-seconds 1 &
    PYTHONPATH=/tmp/trials python -m tests.trials.endpoints http://127.0.0.1:7999 --examples 500

Every answer must be one (no 5xx, nothing broken off). A call that was taken is followed to its end: a result, or an
error that is a sentence, without anything of the machine in it.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

PATIENCE_S = 120.0
OF_THE_MACHINE = re.compile(r"Traceback|[A-Za-z]+Error\b|site-packages|/home/|/work/|\.py\b")


class Trial:
    """One server, and what it said."""

    def __init__(self, address: str, num_examples: int) -> None:
        self.address, self.num_examples = address, num_examples
        self.answers: collections.Counter[str] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()

    def ask(self, operation: Any, mode: GenerationMode) -> None:
        """As many cases of an operation as were asked for; there may be fewer that differ."""

        @settings(
            max_examples=self.num_examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def trial(case: Any) -> None:
            self._case(f"{operation.method.upper()} {operation.path}", case)

        trial()

    def _case(self, name: str, case: Any) -> None:
        try:
            answer = case.call(base_url=self.address, timeout=PATIENCE_S)
            self._look(name, answer.status_code, answer.text)
            if answer.status_code == 200 and "/call/v2/" in name:
                self._follow(name, answer.json()["event_id"])
        except (requests.RequestException, ValueError, KeyError) as error:
            self.faults[f"{name}: {type(error).__name__}: {str(error)[:120]}"] += 1

    def _look(self, name: str, status: int, text: str) -> None:
        self.answers[f"{name} {status}"] += 1
        if status >= 500 or OF_THE_MACHINE.search(text):
            self.faults[f"{name} {status}: {text[:160]}"] += 1

    def _follow(self, name: str, event: str) -> None:
        """A taken call's last event."""
        path = f"{self.address}/gradio_api/call/{name.rpartition('/')[2]}/{event}"
        *_, last = requests.get(path, timeout=PATIENCE_S).text.strip().split("\n\n")
        kind, _, data = last.partition("\n")
        told = json.loads(data.removeprefix("data: "))
        ended = (
            "complete" if kind == "event: complete" else "a sentence" if told and told.get("error") else "no sentence"
        )
        self._look(f"{name} {ended}", 200, "" if ended == "complete" else data)
        if ended == "no sentence":
            self.faults[f"{name} {ended}: {data[:120]}"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address")
    parser.add_argument("--examples", type=int, default=100, help="of each operation, right and wrong ones each")
    flags = parser.parse_args()
    schema = schemathesis.openapi.from_url(f"{flags.address}/gradio_api/openapi.json")
    trial = Trial(flags.address, flags.examples)
    for found in schema.get_all_operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                trial.ask(found.ok(), mode)
            except Exception as error:  # noqa: BLE001 - a strategy that makes no case; told, and the next one comes
                print(f"{found.ok().label}, {mode.name}: no cases ({type(error).__name__}: {str(error)[:100]})")
    for told in (trial.answers, trial.faults):
        print(*(f"{count:7} {name}" for name, count in sorted(told.items())), sep="\n")
    print(f"{trial.answers.total():,} answers, {trial.faults.total()} faults")
    return 1 if trial.faults else 0


if __name__ == "__main__":
    sys.exit(main())
