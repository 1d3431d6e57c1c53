"""Breaks the running thing for real, and counts what was lost: `scripts/chaos`."""
