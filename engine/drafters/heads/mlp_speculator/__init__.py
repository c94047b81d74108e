"""The method `mlp_speculator`: its drafter is in method.py."""
