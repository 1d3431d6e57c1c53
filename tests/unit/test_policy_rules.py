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
        "limits: {slow: {actions: [dig], reason: x}}\n"
        "texts: {bad: {kinds: [secret], reason: ''}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_rules(file)
    told = str(caught.value)
    assert "7 fault(s)" in told
    for place in (
        "version",
        "max_text",
        "colour",
        "names.lava.patterns",
        "limits.slow",
        "texts.bad.kinds.0",
        "texts.bad.reason",
    ):
        assert f"  {place}:" in told


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ("limits: {slow: {actions: [dig], per_day: 1, areas: [market], reason: x}}", "area market"),
        ("permissions: {both: {allow: [dig], deny: [dig], reason: x}}", "exactly one"),
        ("areas: {a: {from: [1, 0, 0], to: [0, 0, 0]}}", "swap"),
        ("names: {a: {patterns: ['a[bc]?'], reason: x}}", "should match pattern"),
    ],
)
def test_what_contradicts_itself_is_told(tmp_path: Path, sections: str, told: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(f"version: 1\nmax_text: 300\n{sections}\n")
    with pytest.raises(ConfigError, match=told):
        load_rules(file)


def test_the_game_has_the_same_rules() -> None:
    game = Path(__file__).parents[2] / "mod" / "townsfolk" / "rules.json"
    assert game.read_text(encoding="utf-8") == load_rules().for_game(), (
        "run townsfolk rules > mod/townsfolk/rules.json"
    )


@pytest.mark.parametrize("content", ["", "- a list", "a: [", "\x00"])
def test_no_mapping_is_a_config_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"rules file .*rules\.yaml"):
        load_rules(file)


def test_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_rules(tmp_path / "none.yaml")
