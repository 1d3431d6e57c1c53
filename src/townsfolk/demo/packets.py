"""The few packets of Luanti's network protocol that `miney` has no words for: bytes in, values out.

Lengths travel in tenths of a node, often times 100 as whole numbers. Knows no socket and no player.
"""

import math
import struct

from townsfolk.types import Position

# Server to client
HELLO = 0x02
OBJECTS = 0x31
MOVE_PLAYER = 0x34
# Client to server
PLAYERPOS = 0x23
INVENTORY_ACTION = 0x31
INTERACT = 0x39

FIRST_SRP = 0x04
"""Of the ways to log in that a HELLO offers: choose a password, as one who is new."""
DIG_BEGINS = 0
DIG_ENDS = 2
RIGHT_CLICK = 3
POINTED_NODE = 1
POINTED_OBJECT = 2
SNEAK = 1 << 6
"""The key's bit among those pressed."""
GENERIC_OBJECT = 101
UNIT = 10.0
EYE_HEIGHT = 1.625


def is_new(hello: bytes) -> bool:
    """Whether a HELLO's payload says that the server does not know the player's name."""
    return bool(int.from_bytes(hello[5:9], "big") & FIRST_SRP)


def position(data: bytes) -> Position:
    """Three floats, as in MOVE_PLAYER."""
    x, y, z = struct.unpack(">fff", data[:12])
    return Position(x=x / UNIT, y=y / UNIT, z=z / UNIT)


def entities(data: bytes) -> tuple[set[int], dict[int, Position]]:
    """The ids that left sight and the entities (no players) that came, from the OBJECTS payload."""
    (gone_count,) = struct.unpack_from(">H", data)
    gone = set(struct.unpack_from(f">{gone_count}H", data, 2))
    at = 2 + 2 * gone_count
    (came_count,) = struct.unpack_from(">H", data, at)
    at += 2
    came: dict[int, Position] = {}
    for _ in range(came_count):
        object_id, kind, length = struct.unpack_from(">HBI", data, at)
        at += 7
        place = _entity_position(data[at : at + length]) if kind == GENERIC_OBJECT else None
        if place is not None:
            came[object_id] = place
        at += length
    return gone, came


def _entity_position(init: bytes) -> Position | None:
    """Where a generic object is: version, name, is it a player, id, position; None for players."""
    (name_length,) = struct.unpack_from(">H", init, 1)
    is_player = init[3 + name_length]
    return None if is_player else position(init[6 + name_length :])


def playerpos(at: Position, pitch: float, yaw: float) -> bytes:
    """A PLAYERPOS packet of a player who stands at `at` and looks there (degrees)."""
    return struct.pack(">H", PLAYERPOS) + _stance(at, pitch, yaw)


def right_click(object_id: int, at: Position, pitch: float, yaw: float, keys: int = 0) -> bytes:
    """An INTERACT packet: the player at `at` right-clicks an object with the first item of the hotbar."""
    pointed = struct.pack(">BBH", 0, POINTED_OBJECT, object_id)
    return _interact(RIGHT_CLICK, pointed) + _stance(at, pitch, yaw, keys)


def inventory_action(words: str) -> bytes:
    """An INVENTORY_ACTION packet: `Move COUNT FROM LIST INDEX TO LIST INDEX` or `Craft COUNT INVENTORY`."""
    return struct.pack(">H", INVENTORY_ACTION) + words.encode("ascii")


def on_node(action: int, under: Position, above: Position, at: Position, pitch: float, yaw: float) -> bytes:
    """An INTERACT packet: the player at `at` does `action` to the node `under`, on its side to `above`."""
    nodes = (round(axis) for node in (under, above) for axis in (node.x, node.y, node.z))
    return _interact(action, struct.pack(">BB6h", 0, POINTED_NODE, *nodes)) + _stance(at, pitch, yaw)


def _interact(action: int, pointed: bytes) -> bytes:
    return struct.pack(">HBHI", INTERACT, action, 0, len(pointed)) + pointed


def _stance(at: Position, pitch: float, yaw: float, keys: int = 0) -> bytes:
    hundredth = 100 * UNIT
    place = (round(at.x * hundredth), round(at.y * hundredth), round(at.z * hundredth))
    angles = (round(pitch * 100), round(yaw * 100))
    fov, wanted_range = round(math.radians(72) * 80), 4
    return struct.pack(">3i3i2iIBB", *place, 0, 0, 0, *angles, keys, fov, wanted_range)


def gaze(here: Position, target: Position) -> tuple[float, float]:
    """Pitch and yaw, in degrees, of a player at `here` who looks at `target`."""
    east, up, north = target.x - here.x, target.y - here.y - EYE_HEIGHT, target.z - here.z
    yaw = math.degrees(math.atan2(-east, north)) % 360
    return -math.degrees(math.atan2(up, math.hypot(east, north))), yaw
