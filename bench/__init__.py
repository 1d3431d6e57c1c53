"""Measurements against peers, in ratios. `scripts/bench` runs them; nothing in the package imports them."""
