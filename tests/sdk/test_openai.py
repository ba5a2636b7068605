"""The official OpenAI SDK works through the router, and its own exceptions are raised."""

import asyncio
import time

import openai
import pytest


def hello(text="Hello"):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("model", ["echo/m", "openai/gpt-4o"])
def test_chat(client, model):
    answer = client.chat.completions.create(model=model, messages=hello())
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == model
    assert answer.usage.prompt_tokens == 8


@pytest.mark.parametrize("model", ["echo/m", "openai/gpt-4o"])
def test_stream(client, model):
    stream = client.chat.completions.create(model=model, messages=hello("one two three"), stream=True)
    chunks = list(stream)
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert len(words) == 3
    assert "".join(words).replace(" ", "") == "onetwothree"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {chunk.model for chunk in chunks} == {model}
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("model", ["echo/m", "openai/gpt-4o"])
def test_stream_with_usage(client, model):
    options = {"include_usage": True}
    stream = client.chat.completions.create(model=model, messages=hello(), stream=True, stream_options=options)
    assert list(stream)[-1].usage.prompt_tokens == 8


def test_stream_helper(client):
    with client.chat.completions.stream(model="openai/gpt-4o", messages=hello("one two")) as stream:
        assert stream.get_final_completion().choices[0].message.content == "onetwo"


def test_a_broken_stream_raises(client):
    stream = client.chat.completions.create(model="openai/gpt-4o", messages=hello("one two break"), stream=True)
    words = []
    with pytest.raises(openai.APIError):
        for chunk in stream:
            words.append(chunk.choices[0].delta.content)
    assert words == ["one", "two"]


def test_async_client(options):
    async def many():
        async with openai.AsyncOpenAI(**options) as client:
            calls = [client.chat.completions.create(model="echo/m", messages=hello(str(n))) for n in range(20)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    assert asyncio.run(many()) == [str(n) for n in range(20)]


def test_models(client):
    ids = [model.id for model in client.models.list()]
    assert ids == ["echo/daily", "echo/m", "echo/tight", "openai/gpt-4o", "openai/text-embedding-3-small"]
    model = client.models.retrieve("openai/gpt-4o")
    assert (model.id, model.owned_by, model.created) == ("openai/gpt-4o", "openai", 1719475200)


def test_the_root_is_a_base_url_too(options, nexus):
    with openai.OpenAI(**{**options, "base_url": f"http://{nexus}/v1"}) as client:
        answer = client.chat.completions.create(model="echo/m", messages=hello())
    assert answer.choices[0].message.content == "Hello"


@pytest.mark.parametrize("encoding", ["base64", "float", None])
def test_embeddings(client, encoding):
    more = {"encoding_format": encoding} if encoding else {}
    answer = client.embeddings.create(model="openai/text-embedding-3-small", input=["one", "three"], **more)
    assert answer.model == "openai/text-embedding-3-small"
    if encoding != "base64":
        assert [item.embedding for item in answer.data] == [[3.0, 0.5], [5.0, 0.5]]


def test_tools(client):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    answer = client.chat.completions.create(model="openai/gpt-4o", messages=hello(), tools=[tool])
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"city":"Rome"}'


def test_request_ids(client):
    answer = client.chat.completions.create(model="echo/m", messages=hello(), extra_headers={"X-Request-Id": "mine-1"})
    assert answer._request_id == "mine-1"


def test_rate_limit_error(client):
    client.chat.completions.create(model="echo/daily", messages=hello())
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="echo/daily", messages=hello())
    assert caught.value.status_code == 429
    assert caught.value.type == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert caught.value.response.headers["x-ratelimit-remaining-tokens"] == "0"


def test_rate_limit_error_of_a_stream(client):
    client.chat.completions.create(model="echo/daily", messages=hello())
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="echo/daily", messages=hello(), stream=True)


def test_the_sdk_waits_as_it_is_told_and_then_succeeds(client):
    client.chat.completions.create(model="echo/tight", messages=hello())
    began = time.monotonic()
    answer = client.with_options(max_retries=1).chat.completions.create(model="echo/tight", messages=hello())
    assert answer.choices[0].message.content == "Hello"
    assert time.monotonic() - began > 1


def test_the_sdk_does_not_try_again_what_can_never_fit(client):
    began = time.monotonic()
    with pytest.raises(openai.RateLimitError):
        client.with_options(max_retries=5).chat.completions.create(model="echo/tight", messages=hello("word " * 50))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("status 400", openai.BadRequestError),
        ("status 401", openai.AuthenticationError),
        ("status 403", openai.PermissionDeniedError),
        ("status 404", openai.NotFoundError),
        ("status 409", openai.ConflictError),
        ("status 422", openai.UnprocessableEntityError),
        ("status 429", openai.RateLimitError),
        ("status 500", openai.InternalServerError),
        ("status 503", openai.InternalServerError),
    ],
)
def test_errors_of_the_provider_keep_their_class_and_members(client, text, error):
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="openai/gpt-4o", messages=hello(text))
    assert (caught.value.type, caught.value.code) == ("scripted", "x")


def test_errors_of_the_router_have_the_right_class(client, options):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="openai/none", messages=hello())
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="none", messages=hello())
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="openai/gold", messages=hello())
    anonymous = {**options, "default_headers": {}}
    with openai.OpenAI(**anonymous) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="echo/m", messages=hello())
    assert caught.value.response.json()["error"] == "missing_client_id"


def test_embeddings_of_the_built_in_provider(client):
    answer = client.embeddings.create(model="echo/m", input=["one", "two"], dimensions=4)
    assert [len(item.embedding) for item in answer.data] == [4, 4]
    assert answer.data[0].embedding != answer.data[1].embedding
