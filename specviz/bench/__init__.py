"""Benchmarks started from the page: asked for, run in the background, kept as files, opened again."""

from specviz.bench.benchmarks import Benchmarks
from specviz.bench.progress import Progress
from specviz.bench.request import Asked, parse
from specviz.bench.shelf import EXAMPLE, Entry, Shelf

__all__ = ["EXAMPLE", "Asked", "Benchmarks", "Entry", "Progress", "Shelf", "parse"]
