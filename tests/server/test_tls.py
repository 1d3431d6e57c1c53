"""HTTP and gRPC encrypted, with certificates made here: who is trusted, what is refused, how one renews."""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from fake_service import FakeService
from prometheus_client import CollectorRegistry

from running import NO_FILE, Target, running
from townsfolk.config import HttpSettings, Settings, TlsSettings
from townsfolk.errors import ConfigError
from townsfolk.gateway.pb import townsfolk_pb2, townsfolk_pb2_grpc
from townsfolk.gateway.serve import serve

TOKEN = "a-token-of-more-than-16"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
INFER = townsfolk_pb2.InferRequest(persona="guard", context="hello")
Files = dict[str, str]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA, folder: Path) -> Files:
    """A certificate for this machine, whose files take the place of those of before."""
    folder.mkdir(exist_ok=True)
    pair = authority.issue_cert("127.0.0.1", "localhost")
    files = {"certificate": folder / "fullchain.pem", "key": folder / "privkey.pem"}
    fresh = folder / "fresh.pem"
    pair.private_key_pem.write_to_path(fresh)
    fresh.replace(files["key"])
    fresh.write_bytes(b"".join(each.bytes() for each in pair.cert_chain_pems))
    fresh.replace(files["certificate"])
    return {name: str(path) for name, path in files.items()}


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Files:
    return issue(authority, tmp_path)


@pytest.fixture
def secured(service: FakeService, files: Files) -> Iterator[Target]:
    with running(service, tls=files, api_token=TOKEN, http={"admin_port": 0}) as target:
        yield target


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def served(target: Target, authority: trustme.CA) -> bytes:
    """The certificate that a client is shown."""
    port = urlsplit(target.http).port
    assert port
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
        assert shown
        return shown


def infer(target: Target, authority: trustme.CA) -> str:
    trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with grpc.secure_channel(target.grpc, trusted) as channel:
        metadata = (("authorization", BEARER["Authorization"]),)
        reply = townsfolk_pb2_grpc.TownsfolkStub(channel).Infer(INFER, metadata=metadata, timeout=20)
        text: str = reply.text
        return text


def test_who_trusts_the_authority_is_served(secured: Target, authority: trustme.CA) -> None:
    with httpx.Client(verify=trusting(authority), headers=BEARER) as http:
        assert http.get(secured.http + "/v1/models").status_code == 200
        assert http.get(secured.admin + "/v1/adapters").status_code == 200
        assert http.get(secured.http + "/v1/models", headers={"Authorization": ""}).status_code == 401
    assert infer(secured, authority) == "hello "


def test_who_does_not_is_not(secured: Target) -> None:
    for address in (secured.http, secured.admin):
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(address + "/healthz")
    with pytest.raises(grpc.RpcError) as raised:
        infer(secured, trustme.CA())
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


def test_nothing_is_served_in_clear(secured: Target) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(secured.http.replace("https", "http") + "/healthz")
    with grpc.insecure_channel(secured.grpc) as channel, pytest.raises(grpc.RpcError) as raised:
        townsfolk_pb2_grpc.TownsfolkStub(channel).Infer(INFER, timeout=5)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_protocols_are_refused(secured: Target, authority: trustme.CA) -> None:
    context = trusting(authority)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(secured.http + "/healthz", verify=context)


def test_a_renewed_certificate_is_served_at_once(
    secured: Target, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = served(secured, authority)
    assert served(secured, authority) == before
    issue(authority, tmp_path)
    renewed = served(secured, authority)
    assert renewed != before
    assert infer(secured, authority) == "hello "
    (tmp_path / "privkey.pem").write_text("half a ke")
    assert served(secured, authority) == renewed
    assert "the certificate of before stays in force" in caplog.text
    issue(authority, tmp_path)
    assert served(secured, authority) not in (before, renewed)
    assert infer(secured, authority) == "hello "


def mismatched(authority: trustme.CA, files: Files) -> None:
    Path(files["key"]).write_bytes(authority.issue_cert("localhost").private_key_pem.bytes())


def with_passphrase(authority: trustme.CA, files: Files) -> None:
    key = load_pem_private_key(Path(files["key"]).read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    Path(files["key"]).write_bytes(locked)


def absent(authority: trustme.CA, files: Files) -> None:
    os.unlink(files["certificate"])


def no_pem(authority: trustme.CA, files: Files) -> None:
    Path(files["certificate"]).write_text("a certificate")


@pytest.mark.parametrize("spoil", [mismatched, with_passphrase, absent, no_pem])
def test_files_that_are_no_pair_are_told_at_the_start(
    spoil: object, authority: trustme.CA, files: Files
) -> None:
    assert callable(spoil)
    spoil(authority, files)
    settings = Settings(
        http=HttpSettings(port=0), tls=TlsSettings.model_validate(files), tokens_file=Path(NO_FILE)
    )
    with pytest.raises(ConfigError, match=r"fullchain\.pem with .*privkey\.pem: .*PEM files of one pair"):
        asyncio.run(serve(FakeService(), settings, CollectorRegistry()))


def test_off_loopback_in_clear_is_warned_of(service: FakeService, caplog: pytest.LogCaptureFixture) -> None:
    with running(service, http={"host": "0.0.0.0"}, api_token=TOKEN) as target:
        assert httpx.get(target.http + "/healthz").status_code == 200
    assert "set tls.certificate and tls.key" in caplog.text
    assert TOKEN not in caplog.text
