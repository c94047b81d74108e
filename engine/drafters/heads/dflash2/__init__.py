"""The method `dflash2`: its drafter is in method.py."""
