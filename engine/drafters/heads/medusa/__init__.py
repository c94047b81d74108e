"""The method `medusa`: its drafter is in method.py."""
