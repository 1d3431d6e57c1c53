"""The protos, the code generated from them and the types say the same."""

import typing
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import grpc_tools
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from grpc_tools import protoc
from pydantic.fields import FieldInfo

from townsfolk import types
from townsfolk.gateway.convert import enum_prefix
from townsfolk.gateway.pb import adapters_pb2, feedback_pb2, policy_pb2, townsfolk_pb2
from townsfolk.gateway.service import ChatMessage, Service

PROTO = Path(__file__).parents[2] / "proto"
MODULES = {
    "townsfolk/v1/townsfolk.proto": townsfolk_pb2,
    "townsfolk/v1/policy.proto": policy_pb2,
    "townsfolk/v1/adapters.proto": adapters_pb2,
    "townsfolk/v1/feedback.proto": feedback_pb2,
}
MESSAGES = {
    name: message
    for module in MODULES.values()
    for name, message in module.DESCRIPTOR.message_types_by_name.items()
}
FIELDS = [(name, field.name) for name, message in MESSAGES.items() for field in message.fields]
SCALARS = {
    str: {FieldDescriptor.TYPE_STRING},
    bool: {FieldDescriptor.TYPE_BOOL},
    float: {FieldDescriptor.TYPE_DOUBLE},
    int: {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT32},
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pb2.FileDescriptorSet:
    """What the .proto files say now, comments included."""
    out = tmp_path_factory.mktemp("proto") / "set"
    google = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [f"-I{PROTO}", f"-I{google}", "--include_imports", "--include_source_info"]
    assert protoc.main(["protoc", *arguments, f"--descriptor_set_out={out}", *MODULES]) == 0
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def test_every_proto_is_known() -> None:
    assert {str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto")} == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_committed_code_is_what_the_protos_give(
    name: str, compiled: descriptor_pb2.FileDescriptorSet
) -> None:
    pool = descriptor_pool.DescriptorPool()
    for file in compiled.file:
        pool.Add(file)
    assert _contents(pool.FindFileByName(name)) == _contents(MODULES[name].DESCRIPTOR), "run scripts/proto"


def _contents(file: Any) -> descriptor_pb2.FileDescriptorProto:
    contents = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(contents)
    contents.ClearField("source_code_info")
    for field in (field for message in contents.message_type for field in message.field):
        field.ClearField("json_name")  # which only protoc's own output spells out
    return contents


@pytest.mark.parametrize("name", MODULES)
def test_everything_in_the_protos_is_commented(name: str, compiled: descriptor_pb2.FileDescriptorSet) -> None:
    file = next(file for file in compiled.file if file.name == name)
    commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments}
    paths: dict[tuple[int, ...], str] = {
        **{(4, i): m.name for i, m in enumerate(file.message_type)},
        **{
            (4, i, 2, j): f"{m.name}.{f.name}"
            for i, m in enumerate(file.message_type)
            for j, f in enumerate(m.field)
        },
        **{(5, i): e.name for i, e in enumerate(file.enum_type)},
        **{(5, i, 2, j): v.name for i, e in enumerate(file.enum_type) for j, v in enumerate(e.value)},
        **{(6, i, 2, j): r.name for i, s in enumerate(file.service) for j, r in enumerate(s.method)},
    }
    assert [what for path, what in paths.items() if path not in commented] == []


def test_the_messages_are_those_that_the_service_takes_and_gives() -> None:
    asked = set[type[Any]]()
    for name in [name for name in vars(Service) if not name.startswith("_")]:
        for hint in typing.get_type_hints(getattr(Service, name)).values():
            asked |= _messages_in(hint)
    assert {kind.__name__ for kind in asked - {ChatMessage}} == set(MESSAGES)


def _messages_in(hint: Any) -> set[type[types.Message]]:
    """The message types that stand in an annotation, and those in their fields."""
    if isinstance(hint, type) and issubclass(hint, types.Message):
        inner = (_messages_in(field.annotation) for field in hint.model_fields.values())
        return {hint}.union(*inner)
    return set().union(*(_messages_in(part) for part in get_args(hint)))


@pytest.mark.parametrize("name", MESSAGES)
def test_field_names_are_equal(name: str) -> None:
    kind = getattr(types, name)
    assert [field.name for field in MESSAGES[name].fields] == list(kind.model_fields)


@pytest.mark.parametrize(("message", "field"), FIELDS, ids=lambda part: part)
def test_field_is_equal(message: str, field: str) -> None:
    there, here = MESSAGES[message].fields_by_name[field], getattr(types, message).model_fields[field]
    kind, repeated = _kind(here)
    assert there.is_repeated == repeated
    assert there.has_presence == ((there.message_type is not None and not repeated) or _has_own_default(here))
    assert _same_kind(there, kind), f"{kind} is not {there.type}"


def _kind(field: FieldInfo) -> tuple[Any, bool]:
    """The type of a field's values, and whether there are many."""
    hint: Any = field.annotation
    if get_origin(hint) is tuple:
        return _plain(get_args(hint)[0]), True
    given = [part for part in get_args(hint) if part is not type(None)]
    return _plain(given[0] if type(None) in get_args(hint) else hint), False


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is typing.Annotated else hint


def _has_own_default(field: FieldInfo) -> bool:
    """A default that protobuf's zero does not express."""
    return not field.is_required() and bool(field.default)


def _same_kind(field: Any, kind: Any) -> bool:
    if field.message_type is not None:
        return bool(field.message_type.name == kind.__name__)
    if field.enum_type is not None:
        return _enum_words(field.enum_type) == _words(kind)
    if get_origin(kind) is Literal:
        kind = type(get_args(kind)[0])
    return field.type in SCALARS[kind]


def _enum_words(enum: Any) -> list[str]:
    first, *rest = [value.name.removeprefix(enum_prefix(enum)).lower() for value in enum.values]
    assert first == "unspecified"
    return rest


def _words(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return [word.value for word in kind]
    return list(get_args(kind))
