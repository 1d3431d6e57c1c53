from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Rating(_message.Message):
    __slots__ = ("turn_id", "player", "value", "comment")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    player: str
    value: int
    comment: str
    def __init__(self, turn_id: _Optional[str] = ..., player: _Optional[str] = ..., value: _Optional[int] = ..., comment: _Optional[str] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("game_id", "villager_id", "player", "kind", "text", "at")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    villager_id: str
    player: str
    kind: str
    text: str
    at: float
    def __init__(self, game_id: _Optional[str] = ..., villager_id: _Optional[str] = ..., player: _Optional[str] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ..., at: _Optional[float] = ...) -> None: ...
