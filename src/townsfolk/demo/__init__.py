"""The demo village of `scripts/play` and its selftest."""
