"""SpecViz: watch, compare and keep speculative-decoding sessions."""
