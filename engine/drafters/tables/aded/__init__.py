"""The method `aded`; `DRAFTER` is its class."""

from engine.drafters.tables.aded.method import DRAFTER

__all__ = ["DRAFTER"]
