"""Figures in two halves: the numbers here, the drawing in the page. Pure functions of events and rows."""
