"""Townsfolk: fine-tuned AI villagers for Luanti. Start reading at ARCHITECTURE.md."""

__version__ = "0.1.0"
