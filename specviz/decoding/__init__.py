"""A visitor's turn on the device: asked for, in line, run, recorded."""
