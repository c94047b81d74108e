"""The screens: layout first, wiring last. No arithmetic, no queries, no markup made from anybody's text."""
