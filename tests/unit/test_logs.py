"""The service's log: lines for people or for programs, and never a secret in either."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from townsfolk.cli.logs import set_up
from townsfolk.config import load_settings

TOKEN, PASSWORD = "a-token-of-more-than-16", "hunter2hunter2"
log = logging.getLogger("townsfolk.test")


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str], list[str]]]:
    """Sets up the log in a format; what was logged since, line by line."""
    root = logging.getLogger()
    before = root.handlers, root.level

    def lines(log_format: str) -> list[str]:
        store = {"url": f"postgresql://me:{PASSWORD}@127.0.0.1/db"}
        set_up(load_settings(api_token=TOKEN, store=store, log_format=log_format))
        log.warning("callers sent %s and authorization: Bearer abc.def", TOKEN)
        try:
            raise ValueError(f"could not reach {PASSWORD}\nwith a second line")
        except ValueError:
            log.exception("it failed")
        return capsys.readouterr().err.splitlines()

    yield lines
    root.handlers, root.level = before


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_gets_out(logged: Callable[[str], list[str]], log_format: str) -> None:
    told = "\n".join(logged(log_format))
    assert "callers sent *** and authorization: Bearer ***" in told
    assert not [secret for secret in (TOKEN, PASSWORD, "abc.def") if secret in told]


def test_each_record_is_one_line_of_json(logged: Callable[[str], list[str]]) -> None:
    first, second = map(json.loads, logged("json"))
    assert (first["level"], first["logger"]) == ("warning", "townsfolk.test")
    assert first["time"].endswith("+00:00")
    assert "with a second line" in second["exception"]


def test_a_record_names_the_trace_that_it_belongs_to(logged: Callable[[str], list[str]]) -> None:
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(span):
        first = json.loads(logged("json")[0])
    assert (first["trace_id"], first["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
