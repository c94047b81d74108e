"""The method `suffix_decoding`: its drafter is in method.py."""
