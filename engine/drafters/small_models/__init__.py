"""Methods whose drafter is a language model of its own."""
