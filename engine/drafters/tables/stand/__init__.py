"""The method `stand`: its drafter is in method.py."""
