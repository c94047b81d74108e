"""Methods that copy what stood in the text, or in a corpus, behind the same words."""
