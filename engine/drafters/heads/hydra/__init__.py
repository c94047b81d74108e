"""The method `hydra`: its drafter is in method.py."""
