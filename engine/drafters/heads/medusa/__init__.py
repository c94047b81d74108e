"""The method `medusa`; `DRAFTER` is its class."""

from engine.drafters.heads.medusa.method import DRAFTER

__all__ = ["DRAFTER"]
