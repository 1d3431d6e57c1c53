"""Fixtures that more than one folder of tests shares."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is no fault of the code
settings.load_profile("any machine")

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The embedded base model; `scripts/test` fetches it."""
    path = Path(os.environ.get("TOWNSFOLK_TEST_MODEL", Path.home() / ".townsfolk" / "models" / MODEL_FILE))
    if not path.is_file():
        pytest.fail(f"base model not found at {path}: run scripts/test, or set TOWNSFOLK_TEST_MODEL")
    return path
