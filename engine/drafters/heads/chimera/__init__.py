"""The method `chimera`; `DRAFTER` is its class."""

from engine.drafters.heads.chimera.method import DRAFTER

__all__ = ["DRAFTER"]
