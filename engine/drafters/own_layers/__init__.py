"""Methods that draft with the target's own layers, some of them; no other model."""
