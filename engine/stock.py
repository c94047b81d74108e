"""transformers' own `generate` without what a model's folder would have it do besides: settings that say nothing."""

from __future__ import annotations

from collections.abc import Collection

from transformers import GenerationConfig as Settings


def plain_settings(eos_ids: Collection[int]) -> Settings:
    """Where a text ends, and no more: no beams, penalties, suppressed tokens or n-grams that may not repeat.

    To stand in a model's `generation_config`: from there `generate` fills whatever it is not told.
    """
    ends = sorted(eos_ids)
    return Settings(eos_token_id=ends or None, pad_token_id=ends[0] if ends else 0)
