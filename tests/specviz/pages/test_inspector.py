"""The Inspector's handlers."""

from __future__ import annotations

import json
from pathlib import Path

from scripted import started, stepped
from scripted_kinds import HOSTILE

from specviz.explaining import recording
from specviz.pages.inspector import Inspector
from specviz.store import open_store


def test_the_inspector_arrives_anywhere(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        inspector = Inspector(store)
        assert json.loads(inspector.arrive({})[0])["run"] == recording.ID
        run = store.begin(started(session_id="r1", prompt=HOSTILE[0]))
        run.append(stepped(0, ["Once", " upon"]))
        assert store.flush()
        assert json.loads(inspector.arrive({})[0])["run"] == "r1"
        message = json.loads(inspector.arrive({"run": "x" * 999, "step": "-1e9"})[0])
        assert message["step"] is None
        assert len(message["run"]) <= 80
        assert json.loads(inspector.arrive({"step": "7"})[0])["step"] == 7
        assert len(json.loads(inspector.read("r1"))["steps"]) == 1
        assert json.loads(inspector.read(recording.ID))["steps"]
        for wrong in ("nobody", "", None, 3, "x" * 200, "\ud800"):
            assert json.loads(inspector.read(wrong))["alert"].endswith(".")
