from google.protobuf import empty_pb2 as _empty_pb2
from townsfolk.gateway.pb import townsfolk_pb2 as _townsfolk_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Rating(_message.Message):
    __slots__ = ("turn_id", "player", "value", "comment", "game_id")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    player: str
    value: int
    comment: str
    game_id: str
    def __init__(self, turn_id: _Optional[str] = ..., player: _Optional[str] = ..., value: _Optional[int] = ..., comment: _Optional[str] = ..., game_id: _Optional[str] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("game_id", "villager_id", "player", "kind", "text", "at", "turn_id")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    villager_id: str
    player: str
    kind: str
    text: str
    at: float
    turn_id: str
    def __init__(self, game_id: _Optional[str] = ..., villager_id: _Optional[str] = ..., player: _Optional[str] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ..., at: _Optional[float] = ..., turn_id: _Optional[str] = ...) -> None: ...

class LogBatch(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ...) -> None: ...

class DemoStep(_message.Message):
    __slots__ = ("number", "action", "place", "observation")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    number: int
    action: str
    place: _townsfolk_pb2.Position
    observation: _townsfolk_pb2.Observation
    def __init__(self, number: _Optional[int] = ..., action: _Optional[str] = ..., place: _Optional[_Union[_townsfolk_pb2.Position, _Mapping]] = ..., observation: _Optional[_Union[_townsfolk_pb2.Observation, _Mapping]] = ...) -> None: ...

class DemoBatch(_message.Message):
    __slots__ = ("game_id", "demo_id", "name", "player", "villager_id", "steps")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    DEMO_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    demo_id: str
    name: str
    player: str
    villager_id: str
    steps: _containers.RepeatedCompositeFieldContainer[DemoStep]
    def __init__(self, game_id: _Optional[str] = ..., demo_id: _Optional[str] = ..., name: _Optional[str] = ..., player: _Optional[str] = ..., villager_id: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[DemoStep, _Mapping]]] = ...) -> None: ...

class ForgetPlayer(_message.Message):
    __slots__ = ("game_id", "player")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    player: str
    def __init__(self, game_id: _Optional[str] = ..., player: _Optional[str] = ...) -> None: ...
