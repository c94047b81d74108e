"""Figures as numbers: pure functions from events or rows to plain dicts, drawn by assets/js/drawings.js.

`specviz.pages.plot` says what such a dict holds. No queries, no layout, no colours.
"""
