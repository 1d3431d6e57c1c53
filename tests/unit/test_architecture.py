"""The rule of the house: data goes one way, and only serving/ and cli/ join stages."""

import ast
from pathlib import Path

import pytest

import townsfolk

PACKAGE = Path(townsfolk.__file__).parent
STAGES = (
    "gateway",
    "console",
    "agents",
    "personas",
    "engine",
    "interpreter",
    "policy",
    "feedback",
    "training",
    "promotion",
)
COMMON = {"types", "errors", "config", "metrics", "disk", "__version__"}


def imported_rooms(stage: str) -> set[str]:
    """Rooms of the package that files of `stage` import."""
    found = set()
    for file in (PACKAGE / stage).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            found |= {name.split(".")[1] for name in modules_of(node) if name.startswith("townsfolk.")}
    return found


def modules_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "townsfolk":
        return [f"townsfolk.{alias.name}" for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_itself_and_the_common_modules_alone(stage: str) -> None:
    assert imported_rooms(stage) <= COMMON | {stage}


def test_the_engine_knows_nothing_of_the_game() -> None:
    assert imported_rooms("engine") <= {"engine", "errors", "config"}


def test_the_service_needs_no_torch() -> None:
    heavy = {"torch", "transformers", "peft", "trl"}
    for file in PACKAGE.rglob("*.py"):
        if "training" not in file.parts:
            text = file.read_text(encoding="utf-8")
            assert not [name for name in heavy if f"import {name}" in text or f"from {name}" in text], file
