"""Between the game and the service: passes calls on, or fails as services fail, as long as it is told to.

Knows HTTP and nothing of what is said.
"""

import http.client
import threading
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Literal

from bench.chaos.service import HOST
from faulty_http import ERROR, GARBAGE, FaultyHandler

Fault = Literal["", "error", "garbage", "half", "slow"]
SLOW_S = 5.0
ANSWER_S = 60.0


class Proxy:
    """A context manager; `fault` is read at each call."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.fault: Fault = ""
        self.mended = threading.Event()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer((HOST, 0), handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def break_by(self, fault: Fault) -> None:
        self.mended.clear()
        self.fault = fault

    def mend(self) -> None:
        """What is answered slowly is answered now, as by a service that can breathe again."""
        self.fault = ""
        self.mended.set()

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mend()
        self._server.shutdown()
        self._server.server_close()


class _Handler(FaultyHandler):
    proxy: Proxy

    def respond(self, body: bytes) -> None:
        fault = self.proxy.fault
        if fault == "slow":
            self.proxy.mended.wait(SLOW_S)
        if fault == "error":
            self.answer(*ERROR)
        elif fault == "garbage":
            self.answer(*GARBAGE)
        else:
            self._pass_on(body, half=fault == "half")

    def _pass_on(self, body: bytes, *, half: bool) -> None:
        """A service that is not there is no answer: the connection breaks off."""
        upstream = http.client.HTTPConnection(HOST, self.proxy.target, timeout=ANSWER_S)
        try:
            upstream.request("POST", self.path, body, {"Content-Type": "application/json"})
            answer = upstream.getresponse()
            self.answer(answer.status, answer.read(), half=half)
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            upstream.close()
