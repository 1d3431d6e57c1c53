"""The OpenAI-compatible endpoint, by OpenAI's own client."""

from collections.abc import Iterator

import openai
import pytest
from fake_service import FakeService
from openai.types.chat import ChatCompletionMessageParam

from running import Target, running
from townsfolk.errors import Busy

TOKEN = "a-token-of-more-than-16"
HELLO: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are at sea."},
    {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "text", "text": "sailor"}]},
]


@pytest.fixture(scope="module")
def client(service: FakeService) -> Iterator[openai.OpenAI]:
    with running(service, api_token=TOKEN) as target:
        yield openai.OpenAI(base_url=target.http + "/v1", api_key=TOKEN, max_retries=0)


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["explorer", "guard"]


def test_a_chat(client: openai.OpenAI, service: FakeService) -> None:
    answer = client.chat.completions.create(
        model="guard", messages=HELLO, max_tokens=20, temperature=0.5, top_p=0.9, user="sam"
    )
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("hello sailor ", "stop")
    assert choice.message.model_extra == {"actions": ["wave"]}
    assert answer.id == "t1"
    persona, messages, max_tokens, temperature = service.chats[-1]
    assert (persona, max_tokens, temperature) == ("guard", 20, 0.5)
    assert [(each.role, each.content) for each in messages] == [
        ("system", "You are at sea."),
        ("user", "hello\nsailor"),
    ]


def test_a_streamed_chat(client: openai.OpenAI, service: FakeService) -> None:
    chunks = list(
        client.chat.completions.create(model="guard", messages=HELLO, max_completion_tokens=9, stream=True)
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello sailor "
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]
    assert service.chats[-1][2] == 9


def test_errors_are_the_clients_own(client: openai.OpenAI, service: FakeService, target: Target) -> None:
    with pytest.raises(openai.NotFoundError, match="there are explorer, guard"):
        client.chat.completions.create(model="poet", messages=HELLO)
    with pytest.raises(openai.UnprocessableEntityError) as wrong:
        client.chat.completions.create(model="guard", messages=[])
    assert wrong.value.code == "invalid_request"
    service.fail_next(Busy("the queue is full", 500))
    with pytest.raises(openai.InternalServerError) as busy:
        client.chat.completions.create(model="guard", messages=HELLO)
    assert (busy.value.status_code, busy.value.code) == (503, "busy")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


def test_an_error_within_a_stream_reaches_the_client(client: openai.OpenAI, service: FakeService) -> None:
    service.fail_next(Busy("the queue is full", 500))
    with pytest.raises(openai.APIError, match="the queue is full"):
        list(client.chat.completions.create(model="guard", messages=HELLO, stream=True))
