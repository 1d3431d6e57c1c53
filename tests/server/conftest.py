"""A running gateway over the fake service, one per test file; a PostgreSQL server, one per test."""

from collections.abc import Iterator

import pytest
from fake_service import FakeService
from postgres_server import PG_CTL, Postgres, running_postgres

from running import Target, running


@pytest.fixture(scope="module")
def service() -> FakeService:
    return FakeService()


@pytest.fixture(scope="module")
def target(service: FakeService) -> Iterator[Target]:
    with running(service) as address:
        yield address


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    if PG_CTL is None:
        pytest.skip("no PostgreSQL server is installed")
    with running_postgres() as server:
        yield server
