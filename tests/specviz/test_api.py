"""The endpoints' own work: pages, limits, files, and the order in which a race ran. No server, no model."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import gradio as gr
import pytest
from scripted import ScriptedDevice
from scripted_kinds import Watched
from stored import finished, save, session

from engine.run_report import run_report
from specviz.api import MAX_RUNS, Api
from specviz.archive import lines, tables
from specviz.decoding.session import Sessions
from specviz.store import Store


@pytest.fixture
def api(store: Store) -> Api:
    return Api(Sessions(ScriptedDevice(), store), store)


@pytest.fixture
def filled(api: Api, store: Store) -> Api:
    """A plain run, and one beside it that was seven times as fast."""
    save(store, session("plain", method="plain", created_at="2026-01-01T00:00:00+00:00"))
    fast = session("fast", created_at="2026-01-02T00:00:00+00:00")
    save(store, [*fast[:-1], finished(decode_ns=11)])
    store.set_baseline("fast", "plain")
    store.set_audit("fast", {"verdict": "identical"})
    store.flush()
    return api


def names(runs: list[dict[str, Any]]) -> str:
    return "".join(run["id"] for run in runs)


def test_pages_of_the_list_follow_each_other(api: Api, store: Store) -> None:
    for name in "abcde":
        save(store, session(name))
    first = api.list_runs(limit=2)
    second = api.list_runs(limit=2, before=first[-1]["id"])
    third = api.list_runs(limit=2, before=second[-1]["id"])
    assert (names(first), names(second), names(third)) == ("ed", "cb", "a")
    assert api.list_runs(limit=2, before="a") == []
    with pytest.raises(gr.Error, match="There is no run 'nobody'"):
        api.list_runs(before="nobody")


def test_the_list_is_what_was_asked_for(filled: Api) -> None:
    assert names(filled.list_runs()) == "fastplain"
    assert names(filled.list_runs(method="plain")) == "plain"
    assert names(filled.list_runs(status="stopped")) == ""
    assert names(filled.list_runs(search="once UPON", status="finished", limit=1)) == "fast"
    assert names(filled.list_runs(search="nowhere")) == ""


@pytest.mark.parametrize(("limit", "is_fit"), [(0, False), (1, True), (MAX_RUNS, True), (MAX_RUNS + 1, False)])
def test_the_list_has_1_to_200_runs(filled: Api, limit: int, is_fit: bool) -> None:
    if is_fit:
        assert len(filled.list_runs(limit=limit)) == min(limit, 2)
    else:
        with pytest.raises(gr.Error, match="from 1 to 200"):
            filled.list_runs(limit=limit)


def test_a_run_is_the_same_in_every_answer(filled: Api) -> None:
    run = filled.get_run("fast")
    told = {name: run.pop(name) for name in ("speculative_decoding", "latency", "memory_bytes", "notices")}
    assert run == filled.list_runs()[0]
    assert told == run_report(filled.store.events("fast"))
    assert told["speculative_decoding"]["per_step_accepted"] == [1, 1]
    assert told["speculative_decoding"]["mean_acceptance_length"] == 2.0
    assert run["speedup"] == pytest.approx(7.0)
    assert (run["verdict"], run["block_efficiency"], run["text"]) == ("identical", 2.0, " there lived there lived")
    assert filled.get_run("plain")["speedup"] is None
    assert tuple(run) == tables.COLUMNS
    (row,) = csv.DictReader(io.StringIO(filled.export_runs(["fast"], "csv"), newline=""))
    assert float(row["speedup"]) == run["speedup"]
    assert {name: value for name, value in row.items() if name != "speedup"} == {
        name: "" if value is None else str(value) for name, value in run.items() if name != "speedup"
    }


def test_a_run_outlives_its_baseline_here_too(filled: Api, store: Store) -> None:
    store.trash(["plain"])
    assert filled.get_run("fast")["speedup"] is None
    assert names(filled.list_runs()) == "fast"
    with pytest.raises(gr.Error, match="There is no run 'plain'"):
        filled.get_run("plain")


def test_a_file_has_the_runs_in_the_order_asked_for(filled: Api) -> None:
    file = filled.export_runs(["plain", "fast"])
    assert file.endswith("\n")
    assert [copy.run_id for copy in lines.from_lines(file)] == ["plain", "fast"]
    rows = csv.DictReader(io.StringIO(filled.export_runs(["plain", "fast"], "csv"), newline=""))
    assert [row["id"] for row in rows] == ["plain", "fast"]


@pytest.mark.parametrize(
    ("ids", "kind"), [([], "jsonl"), (["fast"] * (MAX_RUNS + 1), "jsonl"), (["fast"], "exe"), (["nobody"], "csv")]
)
def test_a_file_that_cannot_be_made_is_a_sentence(filled: Api, ids: list[str], kind: Any) -> None:
    with pytest.raises(gr.Error, match=rf"{len(ids)} runs were given, as {kind}; wanted|no run 'nobody'"):
        filled.export_runs(ids, kind)


def test_a_file_holds_up_to_200_runs(filled: Api) -> None:
    assert filled.export_runs(["fast"] * MAX_RUNS, "csv").count("\r\n") == MAX_RUNS + 1


def test_a_run_is_decoded_as_it_was_asked_for(api: Api, store: Store) -> None:
    run = api.generate("Tell.", "scripted", 9, 0.5, 3, {"depth": 4})
    assert (run["method"], run["emitted"], run["temperature"], run["seed"]) == ("scripted", 9, 0.5, 3)
    assert json.loads(run["method_options"]) == {"depth": 4}
    assert (run["max_new_tokens"], run["prompt"], run["alert"]) == (9, "Tell.", "")
    assert (run["speedup"], run["verdict"]) == (pytest.approx(3.0), "identical")
    assert store.get_run(run["baseline_run_id"]).method == "plain"
    alone = api.generate("Tell.", "scripted", 9, measure_plain=False)
    assert (alone["speedup"], alone["verdict"], alone["baseline_run_id"]) == (None, None, None)
    assert store.count_runs() == 3


def test_a_method_that_is_not_named_is_the_pages_first_choice(store: Store) -> None:
    assert Api(Sessions(ScriptedDevice(), store), store).generate("Tell.")["method"] == "scripted"
    lacking = ScriptedDevice(lacking=("scripted",))
    assert Api(Sessions(lacking, store), store).generate("Tell.")["method"] == "plain"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("", "plain"), "prompt is empty"),
        (("Hi", "sorcery"), "there are: plain, scripted"),
        (("too long", "plain"), "5000 tokens"),
        (("Hi", "plain", 8, 0.0, 0, None, True, "big"), "cannot be loaded"),
        (("Hi", "plain", 8, 0.0, 0, None, True, "/etc"), "there are: big, toy"),
    ],
)
def test_what_cannot_be_decoded_is_a_sentence(api: Api, store: Store, given: tuple[Any, ...], says: str) -> None:
    with pytest.raises(gr.Error, match=says):
        api.generate(*given)
    assert store.count_runs() == 0


class Lot:
    """Draws one order or the other."""

    def __init__(self, is_turned: bool) -> None:
        self.is_turned = is_turned

    def shuffle(self, order: list[int]) -> None:
        if self.is_turned:
            order.reverse()


@pytest.mark.parametrize("is_turned", [False, True])
def test_a_race_names_its_lanes_in_the_order_in_which_they_ran(
    store: Store, is_turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("specviz.race.course.random.Random", lambda: Lot(is_turned))
    device = Watched()
    race = Api(Sessions(device, store), store).compare("Tell.", ["scripted", "plain"], 9)
    ran = [request.method for request, _ in device.asked_for[1::2]]
    assert race["order"] == ran == (["plain", "scripted"] if is_turned else ["scripted", "plain"])
    assert [run["method"] for run in race["runs"]] == ["scripted", "plain"], "as they were asked for"
    assert {run["group_id"] for run in race["runs"]} == {race["group_id"]}
    fast, plain = race["runs"]
    assert (fast["speedup"], plain["speedup"]) == (pytest.approx(3.0), None)
    assert fast["baseline_run_id"] == plain["id"]


def test_a_lane_that_failed_says_why_and_the_others_stand(store: Store) -> None:
    api = Api(Sessions(ScriptedDevice(), store), store)
    race = api.compare("too long a prompt", ["scripted"])
    assert [(run["method"], run["alert"]) for run in race["runs"]] == [
        ("plain", "The prompt has 5000 tokens."),
        ("scripted", "The prompt has 5000 tokens."),
    ]


def test_a_run_that_broke_is_kept_and_says_why(store: Store) -> None:
    api = Api(Sessions(ScriptedDevice(broken_at=1), store), store)
    run = api.generate("Tell.", "scripted", 9, measure_plain=False)
    assert (run["status"], run["alert"], run["steps"]) == ("failed", "The scripted device broke.", 1)


def test_a_conversation_is_asked_for_by_name(api: Api, store: Store) -> None:
    before = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    given = {"system": "Be brief.", "messages": before, "stop": ["END"], "timeout_s": 9, "rule": "greedy"}
    run = api.generate("Go.", "scripted", 6, measure_plain=False, **given)  # type: ignore[arg-type]
    race = api.compare("Go.", ["scripted"], 6, **given)  # type: ignore[arg-type]
    for told in (run, race["runs"][0]):
        config = store.get_run(told["id"]).config
        assert [message["content"] for message in config["messages"]] == ["Be brief.", "Hi.", "Hello."]
        assert (config["stop_strings"], config["timeout_s"], config["rule"]) == (["END"], 9.0, "greedy")
        assert json.loads(told["config"]) == config
    with pytest.raises(gr.Error, match="the assistant's last"):
        api.generate("Go.", "scripted", 6, messages=before[:1])
    with pytest.raises(gr.Error, match="raw prompt is read as it is"):
        api.compare("Go.", ["scripted"], template="raw", system="Be brief.")


def test_the_tokens_of_a_prompt(api: Api) -> None:
    told = api.read_prompt("Hi", system="Be brief.")
    assert told == {"model": "toy", "ids": [1, 2, 3, 0], "texts": [" upon", " a", " time", "Once"]}
    with pytest.raises(gr.Error, match="big is not loaded yet"):
        api.read_prompt("Hi", "big")


def test_a_model_of_ones_own_is_for_a_server_at_home(api: Api, store: Store) -> None:
    for given in ({"model": "own"}, {"loading": {"dtype": "fp32"}}, {"options": {"model": "/any/folder"}}):
        with pytest.raises(gr.Error, match=r"Unknown model|its own models|choose one of"):
            api.generate("Hi", "scripted", 6, **given)  # type: ignore[arg-type]
    for given in ({"model": "own"}, {"loading": {"dtype": "fp32"}}):
        with pytest.raises(gr.Error, match=r"Unknown model|its own models"):
            api.compare("Hi", ["scripted"], 6, **given)  # type: ignore[arg-type]
    home = Api(Sessions(ScriptedDevice(takes_own=True), store), store)
    given = {"model": "own", "loading": {"dtype": "fp32"}, "options": {"model": "/any/folder"}}
    assert home.generate("Hi", "scripted", 6, **given)["method_options"] == '{"model": "/any/folder"}'  # type: ignore[arg-type]
    raced = home.compare("Hi", ["scripted"], 6, model="own", loading={"dtype": "fp32"})
    assert [run["alert"] for run in raced["runs"]] == ["", ""]
