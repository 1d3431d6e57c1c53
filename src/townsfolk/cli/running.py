"""The service that runs on this machine, if one does: what commands ask of it."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer

from townsfolk.config import Settings, address
from townsfolk.errors import InvalidRequest

Url = Annotated[str, typer.Option("--url", help="The running service; default: as in the settings.")]
TIMEOUT_S = 60


def ask(url: str, settings: Settings, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """POST `body` to the service at `url`, or GET where there is none; None: no service runs there.

    Raises:
        InvalidRequest: it refuses; says why.
    """
    where = url.rstrip("/") or _address(settings)
    trusted = None if url else _certificate(settings)
    if not where.startswith(("http://", "https://")):
        raise InvalidRequest(f"--url is {where!r}: must begin with http:// or https://")
    headers = {"Content-Type": "application/json"}
    if token := settings.api_token.get_secret_value():
        headers["Authorization"] = f"Bearer {token}"
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{where}{path}", content, headers)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=trusted) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
            return told
    except urllib.error.HTTPError as error:
        raise InvalidRequest(f"{where} refuses: {error.read().decode('utf-8', 'replace')}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # it may be no service of ours
        if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
            return None
        raise InvalidRequest(f"{where} can't be asked ({error}): check --url") from error


def _address(settings: Settings) -> str:
    """Where operators' calls are served."""
    http, scheme = settings.http, "https" if settings.tls.certificate else "http"
    if http.admin_port is None:
        return f"{scheme}://{address(http.host, http.port)}"
    return f"{scheme}://{address(http.admin_host, http.admin_port)}"


def _certificate(settings: Settings) -> ssl.SSLContext | None:
    """Trust in the service's own certificate, whoever signed it and whatever its name: it lies here."""
    if settings.tls.certificate is None:
        return None
    context = ssl.create_default_context(cafile=settings.tls.certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
