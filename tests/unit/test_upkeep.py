"""What runs beside the service's calls."""

import asyncio

import pytest

from townsfolk.serving.upkeep import in_background


def test_a_watch_that_fails_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def watch() -> None:
        raise OSError("the disk is gone")

    async def serve() -> None:
        in_background(watch())
        await asyncio.sleep(0.01)

    asyncio.run(serve())
    assert "does not go on" in caplog.text
    assert "the disk is gone" in caplog.text
