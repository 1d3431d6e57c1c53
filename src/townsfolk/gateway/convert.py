"""Protobuf <-> types, by walking the fields: the two have the same names, so there is no table.

An enum's value `THING_KIND_PLAYER` is the type's `player`; its zero means "not set". What a caller
left out stays out, so that the types' own rules and defaults decide.
"""

from typing import Any, TypeVar

from google.protobuf import message as protobuf
from google.protobuf import message_factory
from pydantic import BaseModel

Field = Any
"""A `FieldDescriptor`: protobuf's two implementations of it have no type in common."""
P = TypeVar("P", bound=protobuf.Message)


def to_fields(message: protobuf.Message) -> dict[str, Any]:
    """The fields of a protobuf message, ready for a type's `model_validate`."""
    return {
        field.name: _from_field(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if _is_given(message, field)
    }


def to_protobuf(value: BaseModel, kind: type[P]) -> P:
    """A protobuf message of `kind` with the fields of `value`."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        _set_field(message, field, getattr(value, field.name))
    return message


def enum_prefix(enum: Any) -> str:
    """What stands before every value's name, with the trailing underscore: `THING_KIND_`."""
    return str(enum.values[0].name).removesuffix("UNSPECIFIED")


def _is_given(message: protobuf.Message, field: Field) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return field.enum_type is None or field.is_repeated or getattr(message, field.name) != 0


def _from_field(field: Field, value: Any) -> Any:
    if field.is_repeated:
        return [_from_value(field, item) for item in value]
    return _from_value(field, value)


def _from_value(field: Field, value: Any) -> Any:
    if field.message_type is not None:
        return to_fields(value)
    if field.enum_type is not None:
        return _enum_word(field.enum_type, value)
    return value


def _enum_word(enum: Any, number: int) -> str:
    """A number that no value has stays a number, which the type then refuses by name."""
    value = enum.values_by_number.get(number)
    return str(number) if value is None else value.name.removeprefix(enum_prefix(enum)).lower()


def _set_field(message: protobuf.Message, field: Field, value: Any) -> None:
    if value is None:
        return
    if field.is_repeated:
        getattr(message, field.name).extend([_to_value(field, item) for item in value])
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(_to_value(field, value))
    else:
        setattr(message, field.name, _to_value(field, value))


def _to_value(field: Field, value: Any) -> Any:
    if field.message_type is not None:
        return to_protobuf(value, message_factory.GetMessageClass(field.message_type))
    if field.enum_type is not None:
        return field.enum_type.values_by_name[enum_prefix(field.enum_type) + value.upper()].number
    return value
