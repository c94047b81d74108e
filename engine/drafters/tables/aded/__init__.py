"""The method `aded`: its drafter is in method.py."""
