"""Errors -> codes and bodies."""

import json
import re

import pytest
from grpc import StatusCode
from pydantic import ValidationError

from townsfolk import errors
from townsfolk.gateway.faults import MAX_FAULTS, fault_of, invalid_fields
from townsfolk.types import StepRequest

# "Busy   queue full; says when to retry (503 + Retry-After, RESOURCE_EXHAUSTED)"
TOLD = re.findall(r"── (\w+) .*\((?:HTTP )?(\d{3})[^,)]*(?:, (\w+))?\)", errors.__doc__ or "")


@pytest.mark.parametrize(("name", "http", "grpc"), TOLD)
def test_codes_are_those_that_the_error_tree_tells(name: str, http: str, grpc: str) -> None:
    kind = getattr(errors, name)
    fault = fault_of(kind("no", 1) if issubclass(kind, errors.Busy) else kind("no"))
    assert fault.http == int(http)
    assert not grpc or fault.grpc is StatusCode[grpc]


def test_the_error_tree_tells_most_codes() -> None:
    assert len(TOLD) >= 7


def test_busy_says_when_to_come_again_in_whole_seconds() -> None:
    fault = fault_of(errors.Busy("full", retry_after_ms=1_200))
    assert fault.response().headers["Retry-After"] == "2"
    assert dict(fault.trailers()) == {"error-code": "busy", "retry-after-ms": "1200"}


def test_what_utf8_can_not_carry_is_escaped() -> None:
    fault = fault_of(errors.UnknownName("no persona \ud800"))
    assert json.loads(bytes(fault.response().body))["error"]["message"] == "no persona \\ud800"
    assert fault.details() == "no persona \\ud800"


def test_every_broken_rule_is_told_with_its_path_and_value() -> None:
    with pytest.raises(ValidationError) as raised:
        StepRequest.model_validate(
            {"game_id": "", "observations": [{"name": "\ud800"}], "max_wait_ms": float("nan")}
        )
    fault = invalid_fields(raised.value.errors())
    told = {each.field: each.value for each in fault.faults}
    assert told["observations.0.name"] == r"'\ud800'"
    assert {"game_id", "observations.0.villager_id", "max_wait_ms"} < told.keys()
    assert "observations.0.villager_id: Field required" in fault.details()
    fault.response()


def test_a_message_with_a_thousand_faults_is_told_the_first() -> None:
    fault = invalid_fields([{"loc": (i,), "msg": "no", "input": i} for i in range(1_000)])
    assert len(fault.faults) == MAX_FAULTS
    assert fault.message.startswith("1000 field(s)")
