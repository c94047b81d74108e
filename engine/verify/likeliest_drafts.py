"""Node-sampling without shared noise: the drafter proposes its likeliest tokens, the target draws as it would alone.

A node survives if its token is the target's own draw: a set S of children with probability p(S), which no way of
choosing by probability alone betters (verification.md 2.6). The draws are node-sampling's, so the text is the same.
"""

from __future__ import annotations

from engine.verify.node_sampling import NodeSampling


class LikeliestDrafts(NodeSampling):
    """What EAGLE-2, SGLang and prompt look-up do above temperature 0."""

    name = "likeliest_drafts"
    draft_mode = "likeliest"
    default_at = None


RULE = LikeliestDrafts
