"""Answers as services give them, and as those that fail do: 500, garbage, half a body."""

from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler

ERROR = (500, b"Internal Server Error")
GARBAGE = (200, b'{"decisions": [{"villager_id": 7}, null, "x"], "pending": "many", \xff\x00')


class FaultyHandler(BaseHTTPRequestHandler, ABC):
    def do_POST(self) -> None:
        self.respond(self.rfile.read(int(self.headers["Content-Length"])))

    @abstractmethod
    def respond(self, body: bytes) -> None:
        """Answer to `body`, well or as told."""

    def answer(self, status: int, body: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads an access log of it."""
