"""The method `dflash`: its drafter is in method.py."""
