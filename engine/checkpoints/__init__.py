"""Published weights of drafters to the layout that this project's methods read."""

from engine.checkpoints.converting import Converted, convert
from engine.checkpoints.published import is_hub_id, published, source_of

__all__ = ["Converted", "convert", "is_hub_id", "published", "source_of"]
