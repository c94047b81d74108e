"""Published weights of drafters to the layout that this project's methods read."""

from engine.checkpoints.converting import Converted, convert

__all__ = ["Converted", "convert"]
