"""A running gateway over the fake service, one per test file."""

from collections.abc import Iterator

import pytest
from fake_service import FakeService

from running import Target, running


@pytest.fixture(scope="module")
def service() -> FakeService:
    return FakeService()


@pytest.fixture(scope="module")
def target(service: FakeService) -> Iterator[Target]:
    with running(service) as address:
        yield address
