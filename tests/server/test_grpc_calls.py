"""Each gRPC method, health, reflection, and what the gRPC server does not let in."""

import threading
from collections.abc import Iterator

import grpc
import pytest
from fake_service import SLOW, FakeService
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from running import Target, running
from townsfolk import types
from townsfolk.errors import Busy, ModelError
from townsfolk.gateway.pb import (
    adapters_pb2,
    adapters_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
    townsfolk_pb2,
    townsfolk_pb2_grpc,
)

TOKEN = "a-token-of-more-than-16"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
INFER = townsfolk_pb2.InferRequest(persona="guard", context="hello you")
SLOW_TURN = townsfolk_pb2.InferRequest(persona="guard", context=SLOW)
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def channel(target: Target) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(target.grpc) as channel:
        yield channel


@pytest.fixture
def villagers(channel: grpc.Channel) -> townsfolk_pb2_grpc.TownsfolkStub:
    return townsfolk_pb2_grpc.TownsfolkStub(channel)


@pytest.fixture(autouse=True)
def _fresh(service: FakeService) -> None:
    service.started.clear()
    service.cancelled.clear()


def test_a_game_connects_and_steps(villagers: townsfolk_pb2_grpc.TownsfolkStub, service: FakeService) -> None:
    step = townsfolk_pb2.StepRequest(game_id="world-2", observations=[_seen("Anna"), _seen("Ben")])
    with pytest.raises(grpc.RpcError) as raised:
        villagers.Step(step)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    game = townsfolk_pb2.Game(
        game_id="world-2", actions=[townsfolk_pb2.ActionSpec(name="wave")], personas=["poet"]
    )
    assert villagers.Connect(game).unknown_personas == ["poet"]
    assert [part.speech for part in villagers.Step(step).decisions] == ["I am Anna.", "I am Ben."]
    assert isinstance(service.seen[-1], types.StepRequest)


def _seen(name: str) -> townsfolk_pb2.Observation:
    return townsfolk_pb2.Observation(villager_id=name, name=name, persona="guard", snapshot_time=1)


def test_a_turn_whole_and_streamed(villagers: townsfolk_pb2_grpc.TownsfolkStub) -> None:
    assert villagers.Infer(INFER).text == "hello you "
    chunks = list(villagers.InferStream(INFER))
    assert [chunk.text for chunk in chunks] == ["hello ", "you ", ""]
    assert (chunks[-1].done, chunks[-1].actions) == (True, ["wave"])


def test_policy_adapters_and_feedback(channel: grpc.Channel, service: FakeService) -> None:
    check = policy_pb2.CheckRequest(persona="guard", action=townsfolk_pb2.Action(name="dig"))
    assert policy_pb2_grpc.PolicyStub(channel).Check(check).rule == "fake"

    adapters = adapters_pb2_grpc.AdaptersStub(channel)
    loaded = adapters.Load(adapters_pb2.LoadAdapter(name="guard", path="/adapters/guard"))
    assert list(adapters.List(Empty()).adapters) == [loaded]
    assert adapters.Unload(adapters_pb2.UnloadAdapter(name="guard")) == Empty()

    told = adapters.Promote(adapters_pb2.PromoteAdapter(name="guard", version="a" * 64))
    assert (told.live, told.trial, told.share) == ("", "a" * 64, 0.25)
    assert adapters.Rollback(adapters_pb2.RollbackAdapter(name="guard")).trial == ""

    feedback = feedback_pb2_grpc.FeedbackStub(channel)
    feedback.Rate(feedback_pb2.Rating(turn_id="t1", player="sam", value=1))
    assert service.seen[-1] == types.Rating(turn_id="t1", player="sam", value=1)
    feedback.Log(feedback_pb2.LogBatch(entries=[feedback_pb2.LogEntry(game_id="g", kind="left")]))
    seen = townsfolk_pb2.Observation(villager_id="v1", name="Anna", persona="guard")
    step = feedback_pb2.DemoStep(action="wave", place=townsfolk_pb2.Position(y=1), observation=seen)
    demo = feedback_pb2.DemoBatch(game_id="g", demo_id="d", name="hut", player="sam", steps=[step])
    feedback.Demonstrate(demo)
    assert isinstance(service.seen[-1], types.DemoBatch)
    assert service.seen[-1].steps[0].observation.name == "Anna"
    feedback.Forget(feedback_pb2.ForgetPlayer(game_id="g", player="sam"))
    assert service.seen[-1:] == [types.ForgetPlayer(game_id="g", player="sam")]


def test_every_broken_rule_is_told(villagers: townsfolk_pb2_grpc.TownsfolkStub) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        villagers.Infer(townsfolk_pb2.InferRequest(persona="Not One", max_len=0))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert all(f"\n{field}: " in raised.value.details() for field in ("persona", "context", "max_len"))


@pytest.mark.parametrize(
    "data", [b"\xff" * 9, b"\x0a\x03ab", b"\x0a\x02\xff\xfe", b"\x08"], ids=["tag", "short", "utf8", "cut"]
)
def test_bytes_that_are_no_message_are_the_callers_fault(channel: grpc.Channel, data: bytes) -> None:
    for method in ("Infer", "Step", "Connect"):
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/townsfolk.v1.Townsfolk/{method}")(data)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as raised:
        list(channel.unary_stream("/townsfolk.v1.Townsfolk/InferStream")(data))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_busy_says_when_to_come_again(
    villagers: townsfolk_pb2_grpc.TownsfolkStub, service: FakeService
) -> None:
    service.fail_next(Busy("the queue is full", 700))
    with pytest.raises(grpc.RpcError) as raised:
        villagers.Infer(INFER)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("retry-after-ms", "700") in raised.value.trailing_metadata()


def test_a_bug_does_not_end_the_server(
    villagers: townsfolk_pb2_grpc.TownsfolkStub, service: FakeService
) -> None:
    for error, code in ((ModelError("x"), "INTERNAL"), (KeyError("x"), "UNKNOWN")):
        service.fail_next(error)
        with pytest.raises(grpc.RpcError) as raised:
            villagers.Infer(INFER)
        assert raised.value.code().name == code
    assert villagers.Infer(INFER).turn_id == "t1"


def test_a_deadline_stops_the_turn(villagers: townsfolk_pb2_grpc.TownsfolkStub, service: FakeService) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        villagers.Infer(SLOW_TURN, timeout=0.3)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(2)


def test_a_client_that_goes_stops_the_turn(
    villagers: townsfolk_pb2_grpc.TownsfolkStub, service: FakeService
) -> None:
    stream = villagers.InferStream(SLOW_TURN)
    next(stream)
    assert service.started.wait(5)
    stream.cancel()
    assert service.cancelled.wait(2)


def test_health_follows_readiness(channel: grpc.Channel, service: FakeService) -> None:
    updates = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    assert next(updates).status == SERVING
    service.ready = (False, "loading")
    assert next(updates).status == health_pb2.HealthCheckResponse.NOT_SERVING
    service.ready = (True, "")
    assert next(updates).status == SERVING
    updates.cancel()


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    assert {"townsfolk.v1.Townsfolk", "townsfolk.v1.Policy", "grpc.health.v1.Health"} <= _reflected(channel)


def _reflected(channel: grpc.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    answer = next(stub.ServerReflectionInfo(iter([request]), metadata=metadata))
    return {each.name for each in answer.list_services_response.service}


@pytest.fixture(scope="module")
def narrow(service: FakeService) -> Iterator[grpc.Channel]:
    """A server with small limits and a token."""
    limits = {"max_message_bytes": 2_000, "max_concurrent": 1, "request_timeout_s": 1.0}
    with (
        running(service, grpc=limits, api_token=TOKEN) as target,
        grpc.insecure_channel(target.grpc) as channel,
    ):
        yield channel


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),), (("authorization", TOKEN),)])
def test_without_the_token_there_is_only_health(
    narrow: grpc.Channel, metadata: tuple[tuple[str, str], ...]
) -> None:
    stub = townsfolk_pb2_grpc.TownsfolkStub(narrow)
    for call in (
        lambda: stub.Infer(INFER, metadata=metadata),
        lambda: list(stub.InferStream(INFER, metadata=metadata)),
        lambda: _reflected(narrow, metadata),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            call()
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert health_pb2_grpc.HealthStub(narrow).Check(health_pb2.HealthCheckRequest()).status == SERVING


def test_with_the_token_there_is_all(narrow: grpc.Channel) -> None:
    assert townsfolk_pb2_grpc.TownsfolkStub(narrow).Infer(INFER, metadata=METADATA).text == "hello you "
    assert "townsfolk.v1.Feedback" in _reflected(narrow, METADATA)


def test_a_large_message_is_refused(narrow: grpc.Channel) -> None:
    large = townsfolk_pb2.InferRequest(persona="guard", context="x" * 10_000_000)
    with pytest.raises(grpc.RpcError) as raised:
        townsfolk_pb2_grpc.TownsfolkStub(narrow).Infer(large, metadata=METADATA)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_too_many_calls_at_once_are_busy_and_long_ones_are_dropped(
    narrow: grpc.Channel, service: FakeService
) -> None:
    stub = townsfolk_pb2_grpc.TownsfolkStub(narrow)
    slow = stub.Infer.future(SLOW_TURN, metadata=METADATA)
    assert service.started.wait(5)
    with pytest.raises(grpc.RpcError) as raised:
        stub.Infer(INFER, metadata=METADATA)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert slow.exception(timeout=5).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(2)


def test_many_calls_at_once(villagers: townsfolk_pb2_grpc.TownsfolkStub) -> None:
    futures = [villagers.Infer.future(INFER) for _ in range(50)]
    assert {future.result(timeout=10).text for future in futures} == {"hello you "}
    assert threading.active_count() < 50
