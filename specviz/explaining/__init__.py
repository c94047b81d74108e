"""Words, definitions and recorded examples that teach."""
