"""A real player without a screen: joins a Luanti server over the network, chats, looks round, leaves.

It wraps the PyPI package `miney` (the `dev` extra) and hides its traps. It knows the game's network
protocol and nothing of villagers or of the service. It refuses to play well: it stands where the
server put it, never falls, never dies of anything it could flee from.
"""

import math
import re
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from miney.luanticlient.client import LuantiClient
from miney.luanticlient.exceptions import LuantiConnectionError

from townsfolk.demo import packets
from townsfolk.types import Position

INIT_DELAY_S = 0.5
WALK_SPEED, PACE_S = 4.0, 0.1
"""Nodes a second, as clients walk; seconds between two of their reports."""
TOLD_AGAIN = 4
"""How often the walk's end is told: reports may be lost."""
PASSWORD = "townsfolk"  # noqa: S105 - of throw-away players in throw-away worlds
UNLUCKY = "Invalid password"
"""Also to one right password of about 128: the library drops a leading zero of what both sides draw."""
ESCAPES = re.compile(r"\x1b(\([^)]*\)|[a-zA-Z])")
"""Colour and translation marks that a client would render."""


@dataclass(frozen=True)
class ChatLine:
    """A line as the player read it."""

    at: float
    """`time.monotonic()` when it arrived."""
    text: str


class Player:
    """One player in one server. Use `Player.join(...)`, best in a `with` statement."""

    def __init__(self, client: LuantiClient, name: str) -> None:
        self.name = name
        self._client = client
        self._lines: list[ChatLine] = []
        self._next = 0
        self._arrived = threading.Condition()
        self._position: Position | None = None
        self._forms: dict[str, str] = {}
        self._entities: dict[int, Position] = {}
        client.command_handler.register_chat_message_handler(self._on_chat)
        client.command_handler.handlers[packets.MOVE_PLAYER] = self._on_move_player
        client.command_handler.handlers[packets.OBJECTS] = self._on_objects

    @classmethod
    def join(cls, host: str, port: int, name: str, password: str = PASSWORD, attempts: int = 3) -> Self:
        """Join as `name`; the server registers it when it is new.

        Raises:
            ValueError: `name` has capitals, which the client library can't log in with.
            ConnectionError: the server refused, or did not answer `attempts` times.
        """
        if name != name.lower():
            raise ValueError(f"player name {name!r} must be lower case: use {name.lower()!r}")
        for left in reversed(range(attempts)):
            client = LuantiClient(host, port, name, password)
            player = cls(client, name)
            _mend_login(client)
            try:
                if client.connect():
                    return player
            except LuantiConnectionError as error:
                client.disconnect()
                if left and UNLUCKY in str(error):
                    continue
                raise ConnectionError(f"{host}:{port} refused the player {name!r}: {error}") from error
        raise ConnectionError(
            f"{host}:{port} did not let {name!r} in, {attempts} times tried: is it running?"
        )

    def leave(self) -> None:
        """Leave the server; harmless when done twice."""
        if self._client.state.connected:
            self._client.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    # --- chat ----------------------------------------------------------------------------------

    @property
    def heard(self) -> tuple[ChatLine, ...]:
        """All that was read since joining, the player's own lines included."""
        with self._arrived:
            return tuple(self._lines)

    def say(self, text: str) -> None:
        """Say `text` in public chat, or run it when it begins with a slash."""
        with self._arrived:
            self._next = len(self._lines)
        if not self._client.send_chat_message(text):
            raise ConnectionError(f"{self.name} is not in the game any more: join again")

    def wait_for_chat(self, pattern: str, timeout: float) -> str:
        """The next line that `pattern` (a regular expression) is found in.

        The search begins after the player's last `say` or the last line found, so that waiting
        twice finds two lines.

        Raises:
            TimeoutError: none came within `timeout` seconds; says what came instead.
        """
        first = self._next
        with self._arrived:
            if self._arrived.wait_for(lambda: self._find(pattern), timeout):
                return self._lines[self._next - 1].text
            came = [line.text for line in self._lines[first:]]
        raise TimeoutError(f"{self.name} read no {pattern!r} within {timeout:g} s, but {came}")

    def _find(self, pattern: str) -> bool:
        """Move the cursor past the next line that fits, if there is one."""
        for index in range(self._next, len(self._lines)):
            if re.search(pattern, self._lines[index].text):
                self._next = index + 1
                return True
        return False

    def _on_chat(self, message: str) -> bool:
        with self._arrived:
            self._lines.append(ChatLine(time.monotonic(), ESCAPES.sub("", message)))
            self._arrived.notify_all()
        return False

    # --- body ----------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Where the server last put the player, in nodes.

        Raises:
            TimeoutError: the server has not told within 5 s.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._position is not None, 5):
                raise TimeoutError(f"the server has not told {self.name} a position within 5 s")
            assert self._position is not None
            return self._position

    def teleport(self, to: Position, timeout: float = 5) -> None:
        """Go to `to` by `/teleport`, which needs the privilege of that name.

        Raises:
            TimeoutError: the server has not moved the player, mostly for want of the privilege.
        """
        with self._arrived:
            self._position = None
        self.say(f"/teleport {to.x:.2f},{to.y:.2f},{to.z:.2f}")
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._position is not None, timeout):
                came = [line.text for line in self._lines[self._next :]]
                raise TimeoutError(f"{self.name} was not moved within {timeout:g} s, but told {came}")

    def walk(self, to: Position) -> None:
        """Walk straight to `to`, through whatever is there: the server must have `disable_anticheat`."""
        here = self.position
        paces = max(1, math.ceil(_distance(here, to) / WALK_SPEED / PACE_S))
        for pace in range(1, paces + TOLD_AGAIN):
            at = _between(here, to, min(1, pace / paces))
            self._client.send_packet(packets.playerpos(at, *packets.gaze(at, to)))
            time.sleep(PACE_S)
        with self._arrived:
            self._position = to

    def look_at(self, target: Position) -> None:
        """Turn the eyes to `target` without moving."""
        here = self.position
        self._client.send_packet(packets.playerpos(here, *packets.gaze(here, target)))

    def place(self, under: Position, above: Position) -> None:
        """Place the first item of the hotbar at the node `above`, against the node `under`."""
        self._touch(packets.RIGHT_CLICK, under, above)

    def dig(self, node: Position) -> None:
        """Dig a node from above, at once: the server must have `disable_anticheat`."""
        above = node.model_copy(update={"y": node.y + 1})
        self._touch(packets.DIG_BEGINS, node, above)
        self._touch(packets.DIG_ENDS, node, above)

    def craft(self) -> None:
        """Craft once out of one of the hotbar's first item; what comes of it stays in the craft's result."""
        for words in ("Move 1 current_player main 0 current_player craft 0", "Craft 1 current_player "):
            self._client.send_packet(packets.inventory_action(words))

    def _touch(self, action: int, under: Position, above: Position) -> None:
        here = self.position
        self._client.send_packet(packets.on_node(action, under, above, here, *packets.gaze(here, under)))

    def right_click(self, near: Position, *, sneak: bool = False) -> None:
        """Right-click the entity that came into sight nearest to `near`.

        Raises:
            LookupError: there is no entity in sight.
        """
        with self._arrived:
            seen = dict(self._entities)
        if not seen:
            raise LookupError(f"{self.name} sees no entity: wait until the server has sent one")
        object_id = min(seen, key=lambda one: _distance(seen[one], near))
        here = self.position
        keys = packets.SNEAK if sneak else 0
        self._client.send_packet(packets.right_click(object_id, here, *packets.gaze(here, near), keys))

    def _on_move_player(self, data: bytes) -> None:
        with self._arrived:
            self._position = packets.position(data)
            self._arrived.notify_all()

    def _on_objects(self, data: bytes) -> None:
        gone, came = packets.entities(data)
        with self._arrived:
            kept = {one: at for one, at in self._entities.items() if one not in gone}
            self._entities = kept | came

    # --- forms ---------------------------------------------------------------------------------

    def watch_form(self, form: str) -> None:
        """Keep what the server shows under the form name `form`, from now on."""
        self._client.command_handler.register_formspec_handler(form, lambda text: self._on_form(form, text))

    def wait_for_form(self, form: str, timeout: float) -> str:
        """The text of a watched form; each showing is returned once.

        Raises:
            TimeoutError: it was not shown within `timeout` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: form in self._forms, timeout):
                raise TimeoutError(f"the form {form!r} was not shown to {self.name} within {timeout:g} s")
            return self._forms.pop(form)

    def fill_form(self, form: str, fields: dict[str, str]) -> None:
        """Send a form back as if the player had typed `fields`."""
        self._client.send_formspec_response(form, fields)

    def _on_form(self, form: str, text: str) -> None:
        with self._arrived:
            self._forms[form] = text
            self._arrived.notify_all()


def _distance(a: Position, b: Position) -> float:
    return math.dist((a.x, a.y, a.z), (b.x, b.y, b.z))


def _between(a: Position, b: Position, share: float) -> Position:
    return Position(x=a.x + (b.x - a.x) * share, y=a.y + (b.y - a.y) * share, z=a.z + (b.z - a.z) * share)


def _mend_login(client: LuantiClient) -> None:
    """The library sends one INIT, before the server has made the peer, and misreads who is new."""
    send_init, on_hello = client.send_init, client.command_handler.handlers[packets.HELLO]

    def send_init_late() -> None:
        time.sleep(INIT_DELAY_S)
        send_init()

    def register_if_new(data: bytes) -> None:
        client.register_mode = packets.is_new(data)
        on_hello(data)

    client.send_init = send_init_late
    client.command_handler.handlers[packets.HELLO] = register_if_new
