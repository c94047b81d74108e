"""The target's pass on a processor: compiled loops whose bits depend on a row and its ancestors alone."""
