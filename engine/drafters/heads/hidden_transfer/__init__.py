"""The method `hidden_transfer`; `DRAFTER` is its class."""

from engine.drafters.heads.hidden_transfer.method import DRAFTER

__all__ = ["DRAFTER"]
