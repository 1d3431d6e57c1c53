"""Settings: layers, and every fault told at once."""

from pathlib import Path
from typing import Any

import pytest

from townsfolk.cli.settings import render
from townsfolk.config import address, load_settings
from townsfolk.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "townsfolk.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_flags_rank_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "http: {port: 1111, max_body_bytes: 5000}\ngrpc: {port: 4444}\nlog_level: debug\n")
    monkeypatch.setenv("TOWNSFOLK_HTTP__PORT", "2222")
    monkeypatch.setenv("TOWNSFOLK_GRPC__PORT", "5555")
    settings = load_settings(file, http={"port": 3333})
    assert (settings.http.port, settings.grpc.port) == (3333, 5555)
    assert (settings.http.max_body_bytes, settings.log_level) == (5000, "debug")


def test_every_fault_is_listed(tmp_path: Path) -> None:
    file = write(tmp_path, "http: {port: 70000}\nengine: {threads: -1}\ntypo: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    assert all(part in str(caught.value) for part in ("http.port", "engine.threads", "typo", "70000"))


def test_a_list_that_is_no_json_is_told_how_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_PERSONAS_DIRS", "/personas")
    with pytest.raises(ConfigError, match="as JSON"):
        load_settings()


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings(write(tmp_path, "engine: {model: ~/a.gguf}\npersonas_dirs: [~/people]\n"))
    assert settings.engine.model == tmp_path / "a.gguf"
    assert settings.personas_dirs == (tmp_path / "people",)


def test_off_loopback_needs_a_token() -> None:
    with pytest.raises(ConfigError, match="TOWNSFOLK_API_TOKEN"):
        load_settings(http={"host": "0.0.0.0"})
    assert load_settings(http={"host": "0.0.0.0"}, api_token="x" * 16).http.host == "0.0.0.0"


def test_the_token_is_not_printed() -> None:
    assert "s3cret" not in repr(load_settings(api_token="s3cret-s3cret-s3cret"))


@pytest.mark.parametrize("text", ["- a list\n", "http: [\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"townsfolk\.yaml"):
        load_settings(write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load_settings(tmp_path / "absent.yaml")


def test_the_page_of_settings_is_true() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == render(), (
        "write it anew: townsfolk settings > docs/settings.md"
    )


def test_a_file_of_tokens_will_do_but_no_short_token(tmp_path: Path) -> None:
    kept = tmp_path / "tokens.json"
    exposed: dict[str, Any] = {"http": {"host": "0.0.0.0"}, "tokens_file": kept}
    with pytest.raises(ConfigError, match="townsfolk tokens add"):
        load_settings(**exposed)
    kept.write_text('{"tokens": []}')
    assert load_settings(**exposed).exposed_hosts() == ["0.0.0.0"]
    with pytest.raises(ConfigError, match="at least 16 characters"):
        load_settings(**exposed, api_token="short")


def test_the_operators_port_counts_as_exposed(tmp_path: Path) -> None:
    none = tmp_path / "none.json"
    with pytest.raises(ConfigError, match=r"'192\.0\.2\.1' is reachable"):
        load_settings(http={"admin_port": 0, "admin_host": "192.0.2.1"}, tokens_file=none)


@pytest.mark.parametrize("fault", [{"http": {"host": "0.0.0.0"}}, {"typo": 1}, {"log_level": "loud"}])
def test_faults_tell_no_secret(tmp_path: Path, fault: dict[str, object]) -> None:
    file = write(tmp_path, "api_token: s3cret\nstore: {url: [postgresql://u:s3cret@host/db]}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, **fault)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("origin", ["*", "https://*.example.org", "map.example.org", "https://a/b"])
def test_pages_are_named_one_by_one(origin: str) -> None:
    with pytest.raises(ConfigError, match="cors_origins"):
        load_settings(http={"cors_origins": [origin]})


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ConfigError, match="set both, or neither"):
        load_settings(tls={"certificate": "a.pem"})


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", "127.0.0.1:8123"), ("::1", "[::1]:8123")])
def test_an_address_is_as_urls_have_it(host: str, told: str) -> None:
    assert address(host, 8123) == told
