"""The rules file: the shipped one is sound, and every fault of another is told at once."""

from pathlib import Path

import pytest

from townsfolk.errors import ConfigError
from townsfolk.policy.rules import load_rules


def test_shipped_rules_load() -> None:
    rules = load_rules()
    assert {"explosives", "lava", "fire"} <= set(rules.names)
    assert {"command", "control_token", "action_tag"} <= set(rules.texts)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "version: 2\nmax_text: 0\ncolour: red\n"
        "names: {lava: {patterns: [], reason: x}}\n"
        "texts: {bad: {pattern: '(', reason: ''}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_rules(file)
    told = str(caught.value)
    assert "6 fault(s)" in told
    for place in (
        "version",
        "max_text",
        "colour",
        "names.lava.patterns",
        "texts.bad.pattern",
        "texts.bad.reason",
    ):
        assert f"  {place}:" in told


@pytest.mark.parametrize("content", ["", "- a list", "a: [", "\x00"])
def test_no_mapping_is_a_config_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"rules file .*rules\.yaml"):
        load_rules(file)


def test_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_rules(tmp_path / "none.yaml")
