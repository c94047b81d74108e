"""Learn's handlers."""

from __future__ import annotations

import json

from specviz.pages.learn import Learn


def test_learn_has_a_page_for_every_method_and_a_sentence_for_none() -> None:
    from specviz.decoding.local import LocalDevice

    learn = Learn(LocalDevice())
    for method in learn.device.methods():
        page = json.loads(learn.method_page(method.name))
        assert page["trees"], method.name
    assert json.loads(learn.method_page("<b>"))["alert"].startswith("There is no method")
    assert json.loads(learn.arrive({"step": "9", "ids": "nope"})[0])["stop"] == 0
    assert json.loads(learn.arrive({"step": "3", "ids": "aded"})[0])["method"] == "aded"
    stops = [json.loads(learn.arrive({"step": str(step)})[0])["stop"] for step in range(7)]
    assert stops == [0, 1, 2, 3, 4, 5, 0]
