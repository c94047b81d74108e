"""Races: several methods on one prompt, run one after another, shown together.

Plain values and happenings; no page, no model, no query of its own.
"""
