"""What a smaller draft would have kept at a recorded step."""

from __future__ import annotations

import pytest
from stored import node, tree_step

from engine.events import Emitted, Stepped
from specviz.showing import whatif


def test_smaller_drafts_keep_what_lies_inside_the_cut() -> None:
    cuts = whatif.cuts(tree_step(), is_drawn=False)
    assert [(cut.limit, cut.num_nodes, cut.accepted) for cut in cuts.budget] == [
        (1, 1, 1),
        (2, 2, 1),
        (4, 4, 2),
        (6, 6, 2),
    ]
    assert [(cut.limit, cut.num_nodes, cut.accepted) for cut in cuts.depth] == [(1, 2, 1), (2, 5, 2), (3, 6, 2)]
    assert [(cut.limit, cut.num_nodes, cut.accepted) for cut in cuts.top_k] == [(1, 2, 1), (2, 6, 2)]
    assert all(cut.expected is None for cut in cuts.budget), "greedy does not draw"


def test_the_expected_length_is_the_sum_of_path_probabilities() -> None:
    cuts = whatif.cuts(tree_step(), is_drawn=True)
    reach = [0.8, 0.1, 0.8 * 0.2, 0.8 * 0.5, 0.8 * 0.5 * 0.25, 0.1 * 0.5]
    assert cuts.budget[-1].expected == pytest.approx(sum(reach))
    assert cuts.budget[1].expected == pytest.approx(0.9)
    assert cuts.depth[0].expected == pytest.approx(0.9)
    assert cuts.top_k[0].expected == pytest.approx(0.8 + 0.16)


def test_no_draft_and_no_detail_have_no_answers() -> None:
    empty = Stepped(0, 9, (), (), (Emitted(1, "a", "plain"),), 1, 1, 1, 1, 1, 1)
    assert whatif.cuts(empty, is_drawn=False) == whatif.Cuts((), (), ())
    assert whatif.reach([node(-1, "accepted", None)]) is None
