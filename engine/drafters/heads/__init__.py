"""Trained drafters that read the target's hidden states."""
