"""The token and the gate."""

import pytest

from townsfolk.errors import Busy, Unauthorized
from townsfolk.gateway.limits import Gate, authorize

TOKEN = "a-token-of-16-chars-ü"


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer  {TOKEN} ", f"Bearer {TOKEN}".encode()])
def test_the_token_opens(header: str | bytes) -> None:
    authorize(TOKEN, header)


@pytest.mark.parametrize(
    "header", [None, "", b"", TOKEN, "Bearer", f"Basic {TOKEN}", "Bearer \udcff", f"Bearer {TOKEN}x"]
)
def test_anything_else_does_not(header: str | bytes | None) -> None:
    with pytest.raises(Unauthorized, match="TOWNSFOLK_API_TOKEN"):
        authorize(TOKEN, header)


def test_without_a_token_all_may_come_in() -> None:
    authorize("", None)


def test_the_gate_lets_as_many_in_as_it_has_places() -> None:
    gate = Gate(2)
    with gate.enter():
        with gate.enter(), pytest.raises(Busy), gate.enter():
            pass
        with gate.enter():
            pass
