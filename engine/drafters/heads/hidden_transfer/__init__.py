"""The method `hidden_transfer`: its drafter is in method.py."""
