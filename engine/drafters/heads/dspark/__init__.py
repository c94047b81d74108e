"""The method `dspark`: its drafter is in method.py."""
