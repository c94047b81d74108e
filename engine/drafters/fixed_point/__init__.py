"""Methods that guess several places at once and let each pass correct the guesses."""
