"""The server is found or its want is told; a world is laid out without touching its map."""

from pathlib import Path

import pytest

from townsfolk.demo import luanti
from townsfolk.errors import LaunchError


def fake_server(folder: Path, games: str, name: str = "minetestserver") -> Path:
    """A program that lists `games` and does nothing else."""
    binary = folder / name
    binary.write_text(f"#!/bin/sh\necho '{games}'\n")
    binary.chmod(0o755)
    return binary


def test_server_with_the_game_is_taken(tmp_path: Path) -> None:
    binary = fake_server(tmp_path, "devtest minetest")
    assert luanti.find(binary).binary == binary


def test_server_without_the_game_is_told(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"has no minetest_game \(it has: devtest\): install it"):
        luanti.find(fake_server(tmp_path, "devtest"))


def test_missing_server_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(luanti, "FOLDERS", ())
    with pytest.raises(LaunchError, match=r"no Luanti server found.*install minetest-server"):
        luanti.find()


def test_client_program_serves_too(tmp_path: Path) -> None:
    binary = fake_server(tmp_path, "minetest_game", name="luanti")
    assert "--server" in luanti.find(binary).command(tmp_path, 30_000)


def test_world_gets_mods_and_settings_and_keeps_its_map(tmp_path: Path) -> None:
    world = tmp_path / "world"
    luanti.lay_out(world, "http://127.0.0.1:1", time_speed=0)
    (world / "map.sqlite").write_text("a map")
    (world / "worldmods" / "townsfolk" / "stray.lua").write_text("of an older version")
    luanti.lay_out(world, "http://127.0.0.1:2")
    conf = (world / "minetest.conf").read_text()
    assert "townsfolk.service_url = http://127.0.0.1:2" in conf
    assert "secure.http_mods = townsfolk\n" in conf
    assert (world / "worldmods" / "townsfolk_village" / "init.lua").is_file()
    assert not (world / "worldmods" / "townsfolk" / "stray.lua").exists()
    assert (world / "map.sqlite").read_text() == "a map"


def test_package_outside_a_checkout_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(luanti, "MODS", (tmp_path / "mod",))
    with pytest.raises(LaunchError, match="run scripts/play from a checkout"):
        luanti.lay_out(tmp_path / "world", "http://127.0.0.1:1")
    assert not (tmp_path / "world").exists()
