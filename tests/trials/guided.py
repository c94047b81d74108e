"""Hostile texts for readers of files, addresses and forms, grown by what they reach in the code, by atheris.

    pip install --target /tmp/trials --no-deps atheris==3.0.0
    PYTHONPATH=/tmp/trials:. python tests/trials/guided.py -runs=1000000 -max_len=4096

The first byte says which reader gets the rest. What is right stands in the corpus at first (a folder of its own, or the
first argument); options are libFuzzer's. It ends at the first input that is neither taken nor refused with a sentence.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.append(str(Path(__file__).resolve().parents[1]))  # as pytest has it
READERS = ("specviz.archive", "specviz.bench.foreign", "specviz.pages.view", "specviz.decoding.request")
READERS += ("specviz.showing.listing", "engine.events", "engine.suites", "engine.options", "engine.conversation")
with atheris.instrument_imports(include=list(READERS)):
    from engine.events import to_json
    from engine.suites.questions import questions
    from specviz.archive import lines
    from specviz.bench import foreign
    from specviz.decoding import request
    from specviz.pages import view
    from specviz.showing import listing
    from tests import right_inputs
    from tests.fuzzing import tried
    from tests.scripted import ScriptedDevice
    from tests.specviz.stored import session

DEVICE = ScriptedDevice()
CHANCE, FOLDER = random.Random(), Path(tempfile.mkdtemp())


def suite(text: str) -> object:
    (FOLDER / "suite.jsonl").write_text(text, encoding="utf-8", errors="surrogatepass")
    return questions(str(FOLDER / "suite.jsonl"))


def list_of(text: str) -> object:
    try:
        return listing.parse(json.loads(text))
    except (ValueError, RecursionError):
        return None


TARGETS: tuple[tuple[Callable[[str], object], str], ...] = (
    (lines.from_lines, "\n".join(map(to_json, session("new")))),
    (foreign.read, json.dumps(right_inputs.REPORT)),
    (lambda text: view.known(view.place(text)), right_inputs.ADDRESS),
    (lambda text: request.parse(DEVICE, "Hi", "toy", text, True), json.dumps(right_inputs.FORM)),
    (lambda text: request.parse_race(DEVICE, "Hi", "toy", text), json.dumps(right_inputs.RACE)),
    (suite, "\n".join(map(json.dumps, right_inputs.SUITE))),
    (list_of, json.dumps(right_inputs.LISTING)),
)


def ask(data: bytes) -> None:
    """One input, taken or refused with one short sentence."""
    if not data:
        return
    read, _ = TARGETS[data[0] % len(TARGETS)]
    text = data[1:].decode("utf-8", "replace")
    tried(lambda _: read(text), CHANCE)


def main() -> None:
    corpus = Path(sys.argv[1] if sys.argv[1:] and not sys.argv[1].startswith("-") else tempfile.mkdtemp())
    corpus.mkdir(exist_ok=True)
    for number, (_, right) in enumerate(TARGETS):
        (corpus / f"right{number}").write_bytes(bytes([number]) + right.encode())
    options = [option for option in sys.argv[1:] if option.startswith("-")]
    atheris.Setup([sys.argv[0], *options, str(corpus)], ask)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
