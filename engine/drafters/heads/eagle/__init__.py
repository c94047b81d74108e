"""The method `eagle`: its drafter is in method.py."""
