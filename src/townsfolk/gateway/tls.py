"""The certificate of both servers: checked at the start, read again when its files change.

So a renewal (certbot's, say) needs no restart; one that can't be used leaves the old one in force.
"""

import logging
import ssl
from pathlib import Path

import grpc

from townsfolk.config import TlsSettings
from townsfolk.errors import ConfigError

log = logging.getLogger(__name__)

REMEDY = "tls.certificate and tls.key must be PEM files of one pair, the key without a passphrase"


class Certificate:
    """A certificate and its key, as the files have them now."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises ConfigError: the files are no such pair."""
        self._certificate, self._key = certificate, key
        self._context = self._read()
        self._stamp = self._stamped()
        self._served = self._pair()

    @classmethod
    def of(cls, settings: TlsSettings) -> "Certificate | None":
        """The certificate that the settings name, if they do."""
        if settings.certificate is None or settings.key is None:
            return None
        return cls(settings.certificate, settings.key)

    def for_http(self) -> ssl.SSLContext:
        """A context that takes the newest certificate at each handshake."""
        context = self._read()

        def newest(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            self._refresh()
            connection.context = self._context

        context.sni_callback = newest
        return context

    def for_grpc(self) -> grpc.ServerCredentials:
        """Credentials that take the newest certificate at each handshake."""

        def newest() -> grpc.ServerCertificateConfiguration:
            self._refresh()
            return grpc.ssl_server_certificate_configuration([self._served])

        return grpc.dynamic_ssl_server_credentials(newest(), newest)

    def _refresh(self) -> None:
        try:
            if (stamp := self._stamped()) == self._stamp:
                return
            self._stamp = stamp
            self._context, self._served = self._read(), self._pair()
            log.info("the certificate %s was renewed", self._certificate)
        except (ConfigError, OSError) as error:
            log.error("the certificate of before stays in force: %s", error)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigError(f"TLS: {self._certificate} with {self._key}: {error}: {REMEDY}") from error
        return context

    def _pair(self) -> tuple[bytes, bytes]:
        return self._key.read_bytes(), self._certificate.read_bytes()

    def _stamped(self) -> tuple[int, ...]:
        """What changes whenever one of the files does."""
        found = [path.stat() for path in (self._certificate, self._key)]
        return tuple(number for each in found for number in (each.st_ino, each.st_size, each.st_mtime_ns))


def _no_passphrase() -> str:
    """Else OpenSSL would ask the terminal for one."""
    raise ValueError("the key has a passphrase")
