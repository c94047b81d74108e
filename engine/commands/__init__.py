"""The commands of `python -m engine`, one file each: `add` declares its flags, `run` does it."""
