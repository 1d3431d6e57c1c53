"""Fuzzing of what reads files of strangers; scripts/fuzz runs it."""
