from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArgKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARG_KIND_UNSPECIFIED: _ClassVar[ArgKind]
    ARG_KIND_PLAYER: _ClassVar[ArgKind]
    ARG_KIND_CREATURE: _ClassVar[ArgKind]
    ARG_KIND_MOB: _ClassVar[ArgKind]
    ARG_KIND_DROPPED: _ClassVar[ArgKind]
    ARG_KIND_CARRIED: _ClassVar[ArgKind]
    ARG_KIND_NODE: _ClassVar[ArgKind]
    ARG_KIND_PLACE: _ClassVar[ArgKind]
    ARG_KIND_INT: _ClassVar[ArgKind]
    ARG_KIND_TEXT: _ClassVar[ArgKind]
    ARG_KIND_CHOICE: _ClassVar[ArgKind]

class ThingKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    THING_KIND_UNSPECIFIED: _ClassVar[ThingKind]
    THING_KIND_PLAYER: _ClassVar[ThingKind]
    THING_KIND_VILLAGER: _ClassVar[ThingKind]
    THING_KIND_MOB: _ClassVar[ThingKind]
    THING_KIND_ITEM: _ClassVar[ThingKind]

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_NORTH: _ClassVar[Direction]
    DIRECTION_NORTHEAST: _ClassVar[Direction]
    DIRECTION_EAST: _ClassVar[Direction]
    DIRECTION_SOUTHEAST: _ClassVar[Direction]
    DIRECTION_SOUTH: _ClassVar[Direction]
    DIRECTION_SOUTHWEST: _ClassVar[Direction]
    DIRECTION_WEST: _ClassVar[Direction]
    DIRECTION_NORTHWEST: _ClassVar[Direction]
    DIRECTION_HERE: _ClassVar[Direction]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_SPOKEN_TO: _ClassVar[EventKind]
    EVENT_KIND_HEARD: _ClassVar[EventKind]
    EVENT_KIND_PUNCHED: _ClassVar[EventKind]
    EVENT_KIND_GIFT: _ClassVar[EventKind]
    EVENT_KIND_PLACED: _ClassVar[EventKind]
    EVENT_KIND_DUG: _ClassVar[EventKind]
    EVENT_KIND_ARRIVED: _ClassVar[EventKind]
    EVENT_KIND_FAILED: _ClassVar[EventKind]
    EVENT_KIND_JOINED: _ClassVar[EventKind]
    EVENT_KIND_LEFT: _ClassVar[EventKind]
    EVENT_KIND_TICK: _ClassVar[EventKind]

class OutcomeVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_VERDICT_UNSPECIFIED: _ClassVar[OutcomeVerdict]
    OUTCOME_VERDICT_DONE: _ClassVar[OutcomeVerdict]
    OUTCOME_VERDICT_REFUSED: _ClassVar[OutcomeVerdict]
    OUTCOME_VERDICT_FAILED: _ClassVar[OutcomeVerdict]

class RefusalCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_CODE_UNSPECIFIED: _ClassVar[RefusalCode]
    REFUSAL_CODE_BUSY: _ClassVar[RefusalCode]
    REFUSAL_CODE_STALE: _ClassVar[RefusalCode]
    REFUSAL_CODE_FROZEN: _ClassVar[RefusalCode]
    REFUSAL_CODE_LATE: _ClassVar[RefusalCode]
    REFUSAL_CODE_INVALID: _ClassVar[RefusalCode]
ARG_KIND_UNSPECIFIED: ArgKind
ARG_KIND_PLAYER: ArgKind
ARG_KIND_CREATURE: ArgKind
ARG_KIND_MOB: ArgKind
ARG_KIND_DROPPED: ArgKind
ARG_KIND_CARRIED: ArgKind
ARG_KIND_NODE: ArgKind
ARG_KIND_PLACE: ArgKind
ARG_KIND_INT: ArgKind
ARG_KIND_TEXT: ArgKind
ARG_KIND_CHOICE: ArgKind
THING_KIND_UNSPECIFIED: ThingKind
THING_KIND_PLAYER: ThingKind
THING_KIND_VILLAGER: ThingKind
THING_KIND_MOB: ThingKind
THING_KIND_ITEM: ThingKind
DIRECTION_UNSPECIFIED: Direction
DIRECTION_NORTH: Direction
DIRECTION_NORTHEAST: Direction
DIRECTION_EAST: Direction
DIRECTION_SOUTHEAST: Direction
DIRECTION_SOUTH: Direction
DIRECTION_SOUTHWEST: Direction
DIRECTION_WEST: Direction
DIRECTION_NORTHWEST: Direction
DIRECTION_HERE: Direction
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_SPOKEN_TO: EventKind
EVENT_KIND_HEARD: EventKind
EVENT_KIND_PUNCHED: EventKind
EVENT_KIND_GIFT: EventKind
EVENT_KIND_PLACED: EventKind
EVENT_KIND_DUG: EventKind
EVENT_KIND_ARRIVED: EventKind
EVENT_KIND_FAILED: EventKind
EVENT_KIND_JOINED: EventKind
EVENT_KIND_LEFT: EventKind
EVENT_KIND_TICK: EventKind
OUTCOME_VERDICT_UNSPECIFIED: OutcomeVerdict
OUTCOME_VERDICT_DONE: OutcomeVerdict
OUTCOME_VERDICT_REFUSED: OutcomeVerdict
OUTCOME_VERDICT_FAILED: OutcomeVerdict
REFUSAL_CODE_UNSPECIFIED: RefusalCode
REFUSAL_CODE_BUSY: RefusalCode
REFUSAL_CODE_STALE: RefusalCode
REFUSAL_CODE_FROZEN: RefusalCode
REFUSAL_CODE_LATE: RefusalCode
REFUSAL_CODE_INVALID: RefusalCode

class ArgSpec(_message.Message):
    __slots__ = ("name", "kind", "min", "max", "max_length", "choices")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ArgKind
    min: int
    max: int
    max_length: int
    choices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ArgKind, str]] = ..., min: _Optional[int] = ..., max: _Optional[int] = ..., max_length: _Optional[int] = ..., choices: _Optional[_Iterable[str]] = ...) -> None: ...

class ActionSpec(_message.Message):
    __slots__ = ("name", "description", "args", "phrases", "hostile")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    HOSTILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    args: _containers.RepeatedCompositeFieldContainer[ArgSpec]
    phrases: _containers.RepeatedScalarFieldContainer[str]
    hostile: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., args: _Optional[_Iterable[_Union[ArgSpec, _Mapping]]] = ..., phrases: _Optional[_Iterable[str]] = ..., hostile: bool = ...) -> None: ...

class Game(_message.Message):
    __slots__ = ("game_id", "mod_version", "engine_version", "game_name", "actions", "personas")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    MOD_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    GAME_NAME_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    PERSONAS_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    mod_version: str
    engine_version: str
    game_name: str
    actions: _containers.RepeatedCompositeFieldContainer[ActionSpec]
    personas: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, game_id: _Optional[str] = ..., mod_version: _Optional[str] = ..., engine_version: _Optional[str] = ..., game_name: _Optional[str] = ..., actions: _Optional[_Iterable[_Union[ActionSpec, _Mapping]]] = ..., personas: _Optional[_Iterable[str]] = ...) -> None: ...

class PersonaActions(_message.Message):
    __slots__ = ("persona", "actions")
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    persona: str
    actions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, persona: _Optional[str] = ..., actions: _Optional[_Iterable[str]] = ...) -> None: ...

class Connected(_message.Message):
    __slots__ = ("service_version", "personas", "unknown_personas", "default_persona", "max_observations", "allowed")
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    PERSONAS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_PERSONAS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PERSONA_FIELD_NUMBER: _ClassVar[int]
    MAX_OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    service_version: str
    personas: _containers.RepeatedScalarFieldContainer[str]
    unknown_personas: _containers.RepeatedScalarFieldContainer[str]
    default_persona: str
    max_observations: int
    allowed: _containers.RepeatedCompositeFieldContainer[PersonaActions]
    def __init__(self, service_version: _Optional[str] = ..., personas: _Optional[_Iterable[str]] = ..., unknown_personas: _Optional[_Iterable[str]] = ..., default_persona: _Optional[str] = ..., max_observations: _Optional[int] = ..., allowed: _Optional[_Iterable[_Union[PersonaActions, _Mapping]]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("x", "y", "z")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    z: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., z: _Optional[float] = ...) -> None: ...

class Thing(_message.Message):
    __slots__ = ("kind", "name", "title", "distance", "direction", "held", "hp", "count", "hostile")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HP_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    HOSTILE_FIELD_NUMBER: _ClassVar[int]
    kind: ThingKind
    name: str
    title: str
    distance: float
    direction: Direction
    held: str
    hp: float
    count: int
    hostile: bool
    def __init__(self, kind: _Optional[_Union[ThingKind, str]] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., distance: _Optional[float] = ..., direction: _Optional[_Union[Direction, str]] = ..., held: _Optional[str] = ..., hp: _Optional[float] = ..., count: _Optional[int] = ..., hostile: bool = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("name", "title", "distance", "direction", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    distance: float
    direction: Direction
    text: str
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., distance: _Optional[float] = ..., direction: _Optional[_Union[Direction, str]] = ..., text: _Optional[str] = ...) -> None: ...

class Stack(_message.Message):
    __slots__ = ("name", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    count: int
    def __init__(self, name: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class SelfState(_message.Message):
    __slots__ = ("position", "hp", "hp_max", "doing", "held", "inventory", "home_distance", "home_direction")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    HP_FIELD_NUMBER: _ClassVar[int]
    HP_MAX_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    HOME_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    HOME_DIRECTION_FIELD_NUMBER: _ClassVar[int]
    position: Position
    hp: float
    hp_max: float
    doing: str
    held: str
    inventory: _containers.RepeatedCompositeFieldContainer[Stack]
    home_distance: float
    home_direction: Direction
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ..., hp: _Optional[float] = ..., hp_max: _Optional[float] = ..., doing: _Optional[str] = ..., held: _Optional[str] = ..., inventory: _Optional[_Iterable[_Union[Stack, _Mapping]]] = ..., home_distance: _Optional[float] = ..., home_direction: _Optional[_Union[Direction, str]] = ...) -> None: ...

class Surroundings(_message.Message):
    __slots__ = ("things", "nodes")
    THINGS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    things: _containers.RepeatedCompositeFieldContainer[Thing]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    def __init__(self, things: _Optional[_Iterable[_Union[Thing, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "at", "who", "text", "name", "count", "private")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_FIELD_NUMBER: _ClassVar[int]
    kind: EventKind
    at: float
    who: str
    text: str
    name: str
    count: int
    private: bool
    def __init__(self, kind: _Optional[_Union[EventKind, str]] = ..., at: _Optional[float] = ..., who: _Optional[str] = ..., text: _Optional[str] = ..., name: _Optional[str] = ..., count: _Optional[int] = ..., private: bool = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("villager_id", "name", "persona", "snapshot_time", "time_of_day", "me", "around", "events")
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_TIME_FIELD_NUMBER: _ClassVar[int]
    TIME_OF_DAY_FIELD_NUMBER: _ClassVar[int]
    ME_FIELD_NUMBER: _ClassVar[int]
    AROUND_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    villager_id: str
    name: str
    persona: str
    snapshot_time: float
    time_of_day: float
    me: SelfState
    around: Surroundings
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, villager_id: _Optional[str] = ..., name: _Optional[str] = ..., persona: _Optional[str] = ..., snapshot_time: _Optional[float] = ..., time_of_day: _Optional[float] = ..., me: _Optional[_Union[SelfState, _Mapping]] = ..., around: _Optional[_Union[Surroundings, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("turn_id", "villager_id", "action", "verdict", "reason", "rule")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    villager_id: str
    action: str
    verdict: OutcomeVerdict
    reason: str
    rule: str
    def __init__(self, turn_id: _Optional[str] = ..., villager_id: _Optional[str] = ..., action: _Optional[str] = ..., verdict: _Optional[_Union[OutcomeVerdict, str]] = ..., reason: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class StepRequest(_message.Message):
    __slots__ = ("game_id", "observations", "outcomes", "max_wait_ms")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    max_wait_ms: int
    def __init__(self, game_id: _Optional[str] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., max_wait_ms: _Optional[int] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("name", "args")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    args: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., args: _Optional[_Iterable[str]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("villager_id", "turn_id", "part", "done", "snapshot_time", "reply_to", "private", "speech", "actions")
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_FIELD_NUMBER: _ClassVar[int]
    SPEECH_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    villager_id: str
    turn_id: str
    part: int
    done: bool
    snapshot_time: float
    reply_to: str
    private: bool
    speech: str
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    def __init__(self, villager_id: _Optional[str] = ..., turn_id: _Optional[str] = ..., part: _Optional[int] = ..., done: bool = ..., snapshot_time: _Optional[float] = ..., reply_to: _Optional[str] = ..., private: bool = ..., speech: _Optional[str] = ..., actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("villager_id", "code", "reason", "retry_after_ms")
    VILLAGER_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    villager_id: str
    code: RefusalCode
    reason: str
    retry_after_ms: int
    def __init__(self, villager_id: _Optional[str] = ..., code: _Optional[_Union[RefusalCode, str]] = ..., reason: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class StepReply(_message.Message):
    __slots__ = ("decisions", "refused", "pending")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    refused: _containers.RepeatedCompositeFieldContainer[Refused]
    pending: int
    def __init__(self, decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., refused: _Optional[_Iterable[_Union[Refused, _Mapping]]] = ..., pending: _Optional[int] = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ("persona", "context", "max_len", "max_wait_ms")
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MAX_LEN_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    persona: str
    context: str
    max_len: int
    max_wait_ms: int
    def __init__(self, persona: _Optional[str] = ..., context: _Optional[str] = ..., max_len: _Optional[int] = ..., max_wait_ms: _Optional[int] = ...) -> None: ...

class InferReply(_message.Message):
    __slots__ = ("text", "actions", "turn_id")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    text: str
    actions: _containers.RepeatedScalarFieldContainer[str]
    turn_id: str
    def __init__(self, text: _Optional[str] = ..., actions: _Optional[_Iterable[str]] = ..., turn_id: _Optional[str] = ...) -> None: ...

class InferChunk(_message.Message):
    __slots__ = ("turn_id", "text", "actions", "done")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    text: str
    actions: _containers.RepeatedScalarFieldContainer[str]
    done: bool
    def __init__(self, turn_id: _Optional[str] = ..., text: _Optional[str] = ..., actions: _Optional[_Iterable[str]] = ..., done: bool = ...) -> None: ...
