"""The method `chimera`: its drafter is in method.py."""
