"""Scopes, games and limits as callers meet them, by HTTP and gRPC; tokens change while both are served."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from fake_service import FakeService
from google.protobuf.empty_pb2 import Empty

from running import Target, running
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
from townsfolk.gateway.tokens import Holder, Scope, add_token, revoke_token

Call = tuple[str, dict[str, Any]]

GAME_ID = "world-1"
SEEN: dict[str, Any] = {"villager_id": "v1", "name": "Anna", "persona": "guard", "snapshot_time": 1}
DEMO: dict[str, Any] = {
    "demo_id": "d",
    "name": "hut",
    "player": "sam",
    "steps": [{"number": 0, "action": "wave", "place": {"x": 0, "y": 0, "z": 0}, "observation": SEEN}],
}
GAME: dict[str, Any] = {"game_id": GAME_ID, "actions": [{"name": "wave"}]}
OF_GAMES: list[Call] = [
    ("/v1/games", GAME),
    ("/v1/step", {"game_id": GAME_ID}),
    ("/v1/policy/check", {"persona": "guard", "action": {"name": "dig"}, "game_id": GAME_ID}),
    ("/v1/log", {"entries": [{"game_id": GAME_ID, "kind": "left"}]}),
    ("/v1/demos", {**DEMO, "game_id": GAME_ID}),
    ("/v1/feedback/forget", {"game_id": GAME_ID, "player": "sam"}),
]
OF_NO_GAME: list[Call] = [
    ("/v1/infer", {"persona": "guard", "context": "hello"}),
    ("/v1/infer/stream", {"persona": "guard", "context": "hello"}),
    ("/v1/chat/completions", {"model": "guard", "messages": [{"role": "user", "content": "hello"}]}),
]
RATES: list[Call] = [("/v1/ratings", {"turn_id": "t1", "player": "sam", "value": 1})]
OF_OPERATORS: list[Call] = [
    ("/v1/adapters", {"name": "guard", "path": "/adapters/guard"}),
    ("/v1/adapters/promote", {"name": "guard", "version": "a" * 64}),
    ("/v1/adapters/rollback", {"name": "guard"}),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "tokens.json"


@pytest.fixture(scope="module")
def tokens(file: Path) -> dict[str, str]:
    holders = [
        *(Holder(name=scope, scopes=frozenset({scope})) for scope in Scope),
        Holder(name="bound", scopes=frozenset({Scope.PLAY, Scope.RATE}), game_id=GAME_ID),
        Holder(name="another", scopes=frozenset({Scope.PLAY, Scope.RATE}), game_id="world-2"),
    ]
    return {holder.name: add_token(file, holder) for holder in holders}


@pytest.fixture(scope="module")
def guarded(service: FakeService, tokens: dict[str, str], file: Path) -> Iterator[Target]:
    with running(service, tokens_file=file) as target:
        yield target


def status(target: Target, token: str, call: Call) -> int:
    path, body = call
    answer = httpx.post(target.http + path, json=body, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 403:
        assert answer.json()["error"]["code"] == "forbidden"
    return answer.status_code


@pytest.mark.parametrize("call", [*OF_GAMES, *OF_NO_GAME], ids=lambda call: call[0])
def test_only_play_plays(guarded: Target, tokens: dict[str, str], call: Call) -> None:
    assert status(guarded, tokens["play"], call) < 300
    assert status(guarded, tokens["bound"], call) < 300
    assert {status(guarded, tokens[other], call) for other in ("rate", "admin")} == {403}


@pytest.mark.parametrize("call", OF_GAMES, ids=lambda call: call[0])
def test_a_game_acts_for_itself_alone(
    guarded: Target, tokens: dict[str, str], service: FakeService, call: Call
) -> None:
    before = len(service.seen)
    assert status(guarded, tokens["another"], call) == 403
    assert len(service.seen) == before


def test_a_batch_with_one_entry_of_another_game_is_refused(guarded: Target, tokens: dict[str, str]) -> None:
    entries = [{"game_id": game, "kind": "left"} for game in (GAME_ID, "world-2")]
    assert status(guarded, tokens["bound"], ("/v1/log", {"entries": entries})) == 403


def test_only_rate_rates(guarded: Target, tokens: dict[str, str]) -> None:
    assert {status(guarded, tokens[one], RATES[0]) for one in ("rate", "bound")} == {204}
    assert {status(guarded, tokens[one], RATES[0]) for one in ("play", "admin")} == {403}


@pytest.mark.parametrize("call", OF_OPERATORS, ids=lambda call: call[0])
def test_only_admin_administers(guarded: Target, tokens: dict[str, str], call: Call) -> None:
    assert status(guarded, tokens["admin"], call) == 200
    assert {status(guarded, tokens[other], call) for other in ("play", "rate", "bound")} == {403}


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/adapters"), ("DELETE", "/v1/adapters/guard")])
def test_adapters_are_listed_and_unloaded_by_operators(
    guarded: Target, tokens: dict[str, str], method: str, path: str
) -> None:
    for name in ("play", "rate"):
        answer = httpx.request(
            method, guarded.http + path, headers={"Authorization": f"Bearer {tokens[name]}"}
        )
        assert answer.status_code == 403


def test_the_refusal_says_what_is_needed(guarded: Target, tokens: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {tokens['rate']}"}
    told = httpx.post(guarded.http + "/v1/games", json=GAME, headers=headers).json()
    assert "townsfolk tokens add NAME --scope play" in told["error"]["message"]


def test_grpc_asks_the_same(guarded: Target, tokens: dict[str, str]) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        villagers = townsfolk_pb2_grpc.TownsfolkStub(channel)
        feedback = feedback_pb2_grpc.FeedbackStub(channel)
        adapters = adapters_pb2_grpc.AdaptersStub(channel)
        rating = feedback_pb2.Rating(turn_id="t1", player="sam", value=1)
        game = townsfolk_pb2.Game(game_id=GAME_ID, actions=[townsfolk_pb2.ActionSpec(name="wave")])
        infer = townsfolk_pb2.InferRequest(persona="guard", context="hello")
        check = policy_pb2.CheckRequest(
            persona="guard", action=townsfolk_pb2.Action(name="dig"), game_id=GAME_ID
        )
        calls = {
            "play": [
                lambda **key: villagers.Connect(game, **key),
                lambda **key: list(villagers.InferStream(infer, **key)),
                lambda **key: policy_pb2_grpc.PolicyStub(channel).Check(check, **key),
            ],
            "rate": [lambda **key: feedback.Rate(rating, **key)],
            "admin": [
                lambda **key: adapters.List(Empty(), **key),
                lambda **key: adapters.Promote(
                    adapters_pb2.PromoteAdapter(name="guard", version="a" * 64), **key
                ),
            ],
        }
        for scope, wanted in calls.items():
            for call in wanted:
                assert code_of(call, tokens[scope]) is None
                others = {code_of(call, tokens[other]) for other in calls if other != scope}
                assert others == {grpc.StatusCode.PERMISSION_DENIED}
        assert code_of(calls["play"][0], tokens["another"]) is grpc.StatusCode.PERMISSION_DENIED


def code_of(call: Any, token: str) -> grpc.StatusCode | None:
    try:
        call(metadata=(("authorization", f"Bearer {token}"),))
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return None


def test_rotation_needs_no_restart(guarded: Target, file: Path) -> None:
    old = add_token(file, Holder(name="old", scopes=frozenset({Scope.PLAY})))
    call = OF_GAMES[0]
    assert status(guarded, old, call) == 200
    new = add_token(file, Holder(name="new", scopes=frozenset({Scope.PLAY})))
    assert (status(guarded, old, call), status(guarded, new, call)) == (200, 200)
    revoke_token(file, "old")
    assert (status(guarded, old, call), status(guarded, new, call)) == (401, 200)


def test_a_game_that_calls_too_often_is_told_when_to_come_again(service: FakeService) -> None:
    with running(service, limits={"game_calls_per_second": 0.01}) as target, httpx.Client() as http:
        sent = [http.post(target.http + "/v1/games", json={**GAME, "game_id": "fast"}) for _ in "12"]
        assert [answer.status_code for answer in sent] == [200, 429]
        assert 0 < int(sent[-1].headers["Retry-After"]) <= 100
        told = sent[-1].json()["error"]
        assert (told["code"], "limits.game_calls_per_second" in told["message"]) == ("too_often", True)
        assert http.post(target.http + "/v1/games", json={**GAME, "game_id": "calm"}).status_code == 200
        with grpc.insecure_channel(target.grpc) as channel, pytest.raises(grpc.RpcError) as raised:
            townsfolk_pb2_grpc.TownsfolkStub(channel).Step(townsfolk_pb2.StepRequest(game_id="fast"))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(raised.value.trailing_metadata())["error-code"] == "too_often"


def test_a_player_who_speaks_too_often_holds_up_nobody_else(service: FakeService) -> None:
    with running(service, limits={"player_calls_per_minute": 0.3}) as target, httpx.Client() as http:
        http.post(target.http + "/v1/games", json=GAME)

        def step(**speakers: str) -> dict[str, Any]:
            seen = [
                {**SEEN, "villager_id": villager, "events": [{"kind": "spoken_to", "at": 1, "who": who}]}
                for villager, who in speakers.items()
            ]
            answer = http.post(target.http + "/v1/step", json={"game_id": GAME_ID, "observations": seen})
            assert answer.status_code == 200
            told: dict[str, Any] = answer.json()
            return told

        assert step(v1="sam")["refused"] == []
        told = step(v1="sam", v2="anna")
        assert [decision["villager_id"] for decision in told["decisions"]] == ["v2"]
        (refused,) = told["refused"]
        assert (refused["villager_id"], refused["code"]) == ("v1", "busy")
        assert 0 < refused["retry_after_ms"] <= 200_001
        rating = {"turn_id": "t1", "player": "ben", "value": 1}
        assert [http.post(target.http + "/v1/ratings", json=rating).status_code for _ in "12"] == [204, 429]


def test_operators_may_have_a_port_of_their_own(service: FakeService) -> None:
    with running(service, http={"admin_port": 0}) as target, httpx.Client() as http:
        for path in ("/v1/adapters", "/metrics"):
            assert http.get(target.http + path).status_code == 404
            assert http.get(target.admin + path).status_code == 200
        assert http.get(target.http + "/v1/models").status_code == 200
        assert http.get(target.admin + "/v1/models").status_code == 404
        assert http.get(target.admin + "/readyz").status_code == 200
        with grpc.insecure_channel(target.grpc) as channel:
            with pytest.raises(grpc.RpcError) as raised:
                adapters_pb2_grpc.AdaptersStub(channel).List(Empty())
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8123", "127.0.0.1.evil.example", "", "[::1", "[evil]", "a]b"]
)
def test_without_a_token_a_page_that_names_this_machine_is_refused(target: Target, host: str) -> None:
    answer = httpx.get(target.http + "/v1/models", headers={"Host": host})
    assert answer.status_code == 403


PAGE = {"Origin": "https://map.example.org"}
PREFLIGHT = {
    **PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}


def test_no_web_page_may_call(target: Target) -> None:
    assert "access-control-allow-origin" not in httpx.get(target.http + "/v1/models", headers=PAGE).headers
    assert httpx.options(target.http + "/v1/step", headers=PREFLIGHT).status_code != 200


def test_pages_that_are_named_may(service: FakeService, tokens: dict[str, str], file: Path) -> None:
    with running(service, http={"cors_origins": [PAGE["Origin"]]}, tokens_file=file) as target:
        asked = httpx.options(target.http + "/v1/step", headers=PREFLIGHT)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE["Origin"])
        assert "access-control-allow-credentials" not in asked.headers
        refused = httpx.get(target.http + "/v1/models", headers=PAGE)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE["Origin"])
        other = {**PREFLIGHT, "Origin": "https://evil.example"}
        assert httpx.options(target.http + "/v1/step", headers=other).status_code == 400
