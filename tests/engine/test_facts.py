"""A target that tells facts and nothing else is decoded, drafted for and audited."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toys import ScriptedDrafter, Table, TableTarget, finished, output_ids, right

import engine as engine_package
from engine import drafters
from engine.audit import audit, plain_run
from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.drafters.fallback import WithFallback
from engine.facts import TargetFacts
from engine.loop import generate
from engine.target import Pending, Scored
from engine.tree import DraftTree

FACTS = [name for name in vars(TargetFacts) if not name.startswith("_")]
ALONE = [name for name in drafters.names() if drafters.get(name).needs.describe() == "nothing"]
PROMPT = [1, 2, 3, 1, 2, 3, 1, 2]
CONFIG = GenerationConfig(max_new_tokens=16)


class Elsewhere(TableTarget):
    """A target whose model is not here."""

    def __init__(self) -> None:
        super().__init__(Table(5))
        self.told = SimpleNamespace(**{name: getattr(self.loaded, name) for name in FACTS})
        del self.loaded

    @property
    def facts(self) -> Any:
        return self.told


def test_facts_are_a_dozen_and_no_weights() -> None:
    assert {"name", "encode", "decode", "eos_ids", "max_context", "vocab_size", "width", "device", "dtype"} <= {*FACTS}
    assert "model" not in FACTS


@pytest.mark.parametrize("name", ALONE)
def test_methods_that_need_nothing_need_no_weights(name: str) -> None:
    target = Elsewhere()
    events = list(generate(target, drafters.create(name, {}, target), PROMPT, CONFIG))
    assert finished(events).reason == "length"
    assert audit(target, plain_run(target, PROMPT, CONFIG), events).verdict == "identical"


class Slow(TableTarget):
    """Says when a pass is launched and when it is collected."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(Table(5))
        self.log = log

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        self.log.append("launch")
        found, log = super().launch(root_id, tree), self.log

        class Logged(Pending):
            def collect(self) -> Scored:
                log.append("collect")
                return super().collect()

        return Logged(found.scored)


class Busy(ScriptedDrafter):
    """Does something while it waits."""

    def __init__(self, log: list[str], word: str) -> None:
        super().__init__(right(PROMPT))
        self.log, self.word = log, word

    def while_scoring(self, context: Context) -> None:
        self.log.append(f"{self.word} {len(context.ids)}")


def test_a_drafter_may_work_while_its_draft_is_scored_and_so_may_the_second_of_two() -> None:
    log: list[str] = []
    pair = WithFallback(Busy(log, "first"), Busy(log, "second"))
    config = GenerationConfig(max_new_tokens=2)
    assert len(output_ids(generate(Slow(log), pair, PROMPT, config))) == 2
    assert log == ["launch", "first 8", "second 8", "collect", "launch", "first 9", "second 9", "collect"]


def test_only_who_reads_weights_asks_for_them() -> None:
    """What trained heads are made of, and the bench, which names the weights and runs its peers on them."""
    engine = Path(engine_package.__file__).parent
    found = {str(path.relative_to(engine)) for path in engine.rglob("*.py") if ".loaded" in path.read_text()}
    in_models = {name for name in found if name.startswith("models/")}
    assert found - in_models == {"target.py", "drafters/heads/_trained.py", "commands/bench.py"}
