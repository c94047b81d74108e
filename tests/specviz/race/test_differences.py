"""Settings that runs do not share, and what makes them incomparable."""

from __future__ import annotations

from stored import started as begun

from specviz.race.differences import differences, warnings


def test_settings_that_any_of_the_runs_differs_in_are_shown() -> None:
    runs = [begun("a"), None, begun("b"), begun("c", dtype="float32", config={"seed": 8, "top_k": 3})]
    found = {setting.name: setting.values for setting in differences(runs)}
    assert found["dtype"] == ("bfloat16", "", "bfloat16", "float32")
    assert found["seed"] == ("7", "", "7", "8")
    assert found["top k"] == ("", "", "", "3")
    assert "model" not in found
    assert warnings(runs) == ("These runs have different dtypes and seeds: no speedup is shown across them.",)
    assert warnings(runs[:3]) == differences(runs[:3]) == ()
