"""The service on a tiny model, in a process that may be killed and stopped at any moment.

Its processes are forked from one that has imported everything, so that a start costs a fraction of a second.
Refuses to know what is asked of it, and why it is killed.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx

from tiny_model import write_tiny_model
from townsfolk.config import Settings, StoreSettings, load_settings
from townsfolk.demo.children import free_port

HOST = "127.0.0.1"
START_S = 120
POLL_S = 0.02
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["bench.chaos.service", "townsfolk.serving"])


@dataclass(frozen=True)
class Place:
    """Where a service keeps everything, and where it is reached: the same after each start.

    Attributes:
        store: its folder; some rows take its disk away.
        url: of the database.
    """

    home: Path
    store: Path
    url: str
    port: int

    @classmethod
    def make(cls, home: Path, store: Path | None = None, url: str = "") -> "Place":
        store = store or home / "store"
        home.mkdir(parents=True, exist_ok=True)
        write_tiny_model(home / "tiny.gguf", context=8_192)
        return cls(home, store, url or f"sqlite:///{store / 'village.db'}", free_port(socket.SOCK_STREAM))

    @property
    def http(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def store_settings(self) -> StoreSettings:
        return StoreSettings(
            url=self.url, spool_dir=self.store / "spool", behaviour_log=self.store / "behaviour.jsonl"
        )

    def settings(self, **changes: Any) -> Settings:
        """No limit of calls, no trials: what is tried here is something else."""
        model = {"model": self.home / "tiny.gguf", "max_context": 4_096, "kv_tokens": 32_768, "threads": 1}
        return load_settings(
            engine={**model, "max_prefill_tokens": 2_048},
            store=self.store_settings,
            http={"port": self.port},
            grpc={"enabled": False},
            agents={"game_timeout_s": 5},
            limits={"game_calls_per_second": 100_000, "player_calls_per_minute": 100_000},
            promotion={"registry_dir": self.home / "registry", "trial_turns": 0},
            adapters_dirs=(self.home / "adapters",),
            tokens_file=self.home / "tokens.json",
            log_level="warning",
            **changes,
        )


class ServiceProcess:
    """One service after the other at one place; `start` follows on `kill`."""

    def __init__(self, place: Place, **settings: Any) -> None:
        self.place, self._settings = place, settings
        self._process = self._new()

    def start(self) -> None:
        """Begin to start; returns at once."""
        self._process = self._new()
        self._process.start()

    def await_ready(self, timeout: float = START_S) -> None:
        """Raises TimeoutError, ChildProcessError: it does not answer."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.place.http}/readyz", timeout=POLL_S * 50).is_success:
                    return
            if not self._process.is_alive():
                raise ChildProcessError(f"the service ended by itself: see {self.place.home / 'service.log'}")
            time.sleep(POLL_S)
        raise TimeoutError(f"the service is not ready after {timeout:g} s")

    def kill(self) -> None:
        """At once, whatever it is doing."""
        self._process.kill()
        self._process.join()

    def hang(self) -> None:
        """It keeps its connections and does nothing, until `go_on`."""
        os.kill(self._process.pid or 0, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid or 0, signal.SIGCONT)

    def _new(self) -> ForkServerProcess:
        return PROCESSES.Process(target=_serve, args=(self.place, self._settings), daemon=True)

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def metric(self, name: str) -> float:
        """What /metrics says of `name`, its labels summed up."""
        lines = httpx.get(f"{self.place.http}/metrics", timeout=10).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


@contextmanager
def running(place: Place) -> Iterator[ServiceProcess]:
    """A service that is ready; killed at the end of the block."""
    service = ServiceProcess(place)
    service.start()
    try:
        service.await_ready()
        yield service
    finally:
        service.kill()


def _serve(place: Place, settings: dict[str, Any]) -> None:
    from townsfolk.serving import run

    logging.basicConfig(filename=place.home / "service.log", level="WARNING")
    asyncio.run(run(place.settings(**settings)))
