from townsfolk.gateway.pb import townsfolk_pb2 as _townsfolk_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckRequest(_message.Message):
    __slots__ = ("persona", "action", "villager_id", "game_id", "at")
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    persona: str
    action: _townsfolk_pb2.Action
    villager_id: str
    game_id: str
    at: _townsfolk_pb2.Position
    def __init__(self, persona: _Optional[str] = ..., action: _Optional[_Union[_townsfolk_pb2.Action, _Mapping]] = ..., villager_id: _Optional[str] = ..., game_id: _Optional[str] = ..., at: _Optional[_Union[_townsfolk_pb2.Position, _Mapping]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("allowed", "rule", "reason")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    rule: str
    reason: str
    def __init__(self, allowed: bool = ..., rule: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
