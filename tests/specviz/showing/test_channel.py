"""Streams by id, for browsers that missed something; sentences alone."""

from __future__ import annotations

import json

import pytest
from asking import run

from specviz.showing import channel
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import Opened, Preparing, Waiting
from specviz.showing.wire import Stream


def test_a_page_that_missed_something_gets_everything() -> None:
    streams = Streams(most=2)
    stream = streams.keep(Stream())
    stream.delta(fold_all(ViewState(), [Opened("method"), *run()]))
    assert len(json.loads(streams.snapshot(stream.id))["steps"]) == 3
    assert streams.snapshot("nobody") == streams.snapshot(None) == ""
    streams.keep(Stream())
    streams.keep(Stream())
    assert streams.snapshot(stream.id) == ""


def test_an_alert_is_never_the_same_text_twice() -> None:
    assert channel.alert("No.") != channel.alert("No.")
    assert json.loads(channel.alert("a <b> \udc00"))["alert"] == "a <b> \\udc00"


def test_a_page_is_drawn_anew_where_something_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", 1e9)
    stream = Stream()
    state = fold_all(ViewState(), [Waiting(2)])
    assert "status" in json.loads(stream.delta(state))
    assert "status" not in json.loads(stream.delta(state)), "nothing has changed, and it was drawn just now"
    assert "status" in json.loads(stream.delta(fold_all(state, [Waiting(1)])))
    assert "status" in json.loads(stream.delta(fold_all(state, [Preparing("Loading")])))
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", -1.0)
    assert "status" in json.loads(stream.delta(fold_all(state, [Preparing("Loading")]))), "it is time again"


def test_the_last_streams_are_kept_and_the_oldest_is_not() -> None:
    streams = Streams(most=2)
    first, second, third = (streams.keep(Stream()) for _ in range(3))
    assert streams.snapshot(first.id) == ""
    for stream in (second, third):
        assert json.loads(streams.snapshot(stream.id))["stream"] == stream.id


def test_an_alert_changes_nothing_else() -> None:
    assert set(json.loads(channel.alert("No."))) == {"alert", "nonce"}
