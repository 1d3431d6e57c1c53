"""How the service logs, to standard error: lines for people or one JSON object a line. No secret gets out."""

import json
import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from opentelemetry import trace
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from townsfolk.config import Settings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
BEARER = re.compile(r'(?i)(bearer\s+)[^\s"]+')


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, with the ids of the trace that it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {
            "time": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            entry |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        return json.dumps(entry)


class Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error; what it was told is secret becomes ***, whoever logs it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return BEARER.sub(r"\1***", line)


def set_up(settings: Settings) -> None:
    """Log as `log_level` and `log_format` say."""
    handler = Handler((settings.api_token.get_secret_value(), _password(settings.store.url)))
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def _password(url: str) -> str:
    try:
        return str(make_url(url).password or "")
    except ArgumentError:
        return ""
