"""The method `mlp_speculator`; `DRAFTER` is its class."""

from engine.drafters.heads.mlp_speculator.method import DRAFTER

__all__ = ["DRAFTER"]
