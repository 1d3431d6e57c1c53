"""Protobuf <-> types."""

import pytest
from pydantic import ValidationError

from townsfolk import types
from townsfolk.gateway.convert import to_fields, to_protobuf
from townsfolk.gateway.pb import adapters_pb2, feedback_pb2, townsfolk_pb2

STEP = types.StepRequest(
    game_id="world-1",
    observations=(
        types.Observation(
            villager_id="v1",
            name="Anna",
            persona="explorer",
            snapshot_time=12.5,
            time_of_day=0,
            me=types.SelfState(
                position=types.Position(x=1.5, y=-20, z=0),
                hp=17,
                inventory=(types.Stack(name="default:apple", count=3),),
                home_direction="northwest",
            ),
            around=types.Surroundings(
                things=(types.Thing(kind="player", name="sam", distance=2, direction="north", count=0),),
                nodes=(types.Node(name="default:chest", distance=0, direction="here", text="für Sam"),),
            ),
            events=(
                types.Event(kind=types.EventKind.SPOKEN_TO, at=12.0, who="sam", text="hi", private=True),
            ),
        ),
    ),
    outcomes=(
        types.Outcome(turn_id="t1", villager_id="v1", action="wave", verdict="refused", reason="tired"),
    ),
    max_wait_ms=0,
)


def test_a_message_with_everything_comes_back_equal() -> None:
    data = to_protobuf(STEP, townsfolk_pb2.StepRequest).SerializeToString()
    assert types.StepRequest.model_validate(to_fields(townsfolk_pb2.StepRequest.FromString(data))) == STEP


def test_what_is_left_out_gets_the_types_default() -> None:
    request = types.StepRequest.model_validate(to_fields(townsfolk_pb2.StepRequest(game_id="g")))
    assert request == types.StepRequest(game_id="g")
    assert request.max_wait_ms == 50


def test_a_zero_that_is_given_is_not_left_out() -> None:
    spec = townsfolk_pb2.ArgSpec(name="n", kind="ARG_KIND_INT", max=0)
    assert types.ArgSpec.model_validate(to_fields(spec)).max == 0


def test_large_and_negative_numbers_survive() -> None:
    version = types.AdapterVersion(name="a", content_hash="f", rank=8, size_bytes=2**40, resident=False)
    assert to_fields(to_protobuf(version, adapters_pb2.AdapterVersion))["size_bytes"] == 2**40
    assert to_fields(feedback_pb2.Rating(value=-1))["value"] == -1


def test_an_enum_that_is_not_set_is_a_missing_field() -> None:
    with pytest.raises(ValidationError, match="kind\n  Field required"):
        types.ArgSpec.model_validate(to_fields(townsfolk_pb2.ArgSpec(name="n")))


def test_an_enum_of_a_later_version_is_refused_with_its_number() -> None:
    spec = townsfolk_pb2.ArgSpec(name="n")
    spec.MergeFromString(b"\x10\x63")  # field 2 (kind) = 99
    with pytest.raises(ValidationError, match="input_value='99'"):
        types.ArgSpec.model_validate(to_fields(spec))


def test_a_missing_message_is_a_missing_field() -> None:
    with pytest.raises(ValidationError, match="position\n  Field required"):
        types.SelfState.model_validate(to_fields(townsfolk_pb2.SelfState(hp=3)))
