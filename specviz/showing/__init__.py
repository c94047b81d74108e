"""Events to what a page shows; pure."""
