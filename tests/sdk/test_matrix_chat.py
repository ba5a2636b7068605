"""OpenAI's SDK speaks chat completions to every kind of provider."""

import asyncio
import json

import matrix
import model
import openai
import pytest
from matrix import KINDS, SCRIPTED, says
from pydantic import BaseModel

TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Tells it", "parameters": matrix.SCHEMA}}


class City(BaseModel):
    city: str
    days: int


def user(text):
    return {"role": "user", "content": text}


def complete(client, streamed, **call):
    """The answer, whole or put together by the SDK from a stream."""
    if not streamed:
        return client.chat.completions.create(**call)
    with client.chat.completions.stream(**call, stream_options={"include_usage": True}) as stream:
        return stream.get_final_completion()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_chat(chat, kind, streamed):
    answer = complete(chat, streamed, model=f"{kind}/m", messages=[user("Good morning")])
    assert answer.choices[0].message.content == says(kind, "Good morning")
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == f"{kind}/m"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    if kind != "echo":
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (model.INPUT, model.OUTPUT)
        assert answer.usage.prompt_tokens_details.cached_tokens == model.CACHED


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_a_stream(chat, kind):
    chunks = list(chat.chat.completions.create(model=f"{kind}/m", messages=[user("one two three")], stream=True))
    chunks = [chunk for chunk in chunks if chunk.choices]
    words = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(words) == says(kind, "one two three")
    assert sum(word != "" for word in words) > 2, "it comes piece by piece"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks), "nobody asked for usage"
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {f"{kind}/m"}


@pytest.mark.parametrize("kind", SCRIPTED)
def test_tools_are_called_in_parallel_and_answered(chat, kind, streamed):
    messages = [{"role": "system", "content": "Be kind."}, user(matrix.ASK)]
    first = complete(chat, streamed, model=f"{kind}/m", messages=messages, tools=[TOOL]).choices[0]
    assert first.finish_reason == "tool_calls"
    assert not first.message.content
    calls = first.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather"] * 2
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Rome"]
    assert len({call.id for call in calls}) == 2
    messages.append(first.message.model_dump(exclude_none=True, exclude={"parsed"}))
    for call in calls:
        result = matrix.weather(json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    last = complete(chat, streamed, model=f"{kind}/m", messages=messages, tools=[TOOL]).choices[0]
    assert (last.message.content, last.finish_reason) == (matrix.ANSWER, "stop")


def test_tools_mean_nothing_to_what_only_echoes(chat, streamed):
    answer = complete(chat, streamed, model="echo/m", messages=[user(matrix.ASK)], tools=[TOOL])
    assert answer.choices[0].message.content == matrix.ASK
    assert not answer.choices[0].message.tool_calls


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize(
    ("choice", "calls"),
    [("none", 0), ("required", 1), ({"type": "function", "function": {"name": "get_weather"}}, 1)],
    ids=["none", "required", "named"],
)
def test_the_choice_of_tools(chat, kind, choice, calls):
    answer = chat.chat.completions.create(model=f"{kind}/m", messages=[user("Hi")], tools=[TOOL], tool_choice=choice)
    assert len(answer.choices[0].message.tool_calls or []) == calls


@pytest.mark.parametrize("kind", SCRIPTED)
def test_one_call_at_a_time(chat, kind):
    call = chat.chat.completions.with_raw_response.create(
        model=f"{kind}/m", messages=[user(matrix.ASK)], tools=[TOOL], parallel_tool_calls=False
    )
    calls = call.parse().choices[0].message.tool_calls
    if kind in ("google", "bedrock"):
        assert call.headers["x-nexus-dropped"] == "parallel_tool_calls"
    else:
        assert "x-nexus-dropped" not in call.headers
        assert len(calls) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_structured_output(chat, kind, streamed):
    asked = matrix.CITY_TEXT if kind == "echo" else "Where? The weather in Oslo"
    call = {"model": f"{kind}/m", "messages": [user(asked)], "response_format": City}
    answer = complete(chat, True, **call) if streamed else chat.chat.completions.parse(**call)
    assert answer.choices[0].message.parsed == City(city="Oslo", days=7)


@pytest.mark.parametrize("kind", SCRIPTED)
def test_images_by_data(chat, kind):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{matrix.IMAGE}"}}
    messages = [user([{"type": "text", "text": "What is it?"}, image])]
    answer = chat.chat.completions.create(model=f"{kind}/m", messages=messages)
    assert answer.choices[0].message.content == matrix.SEEN


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_system_prompt(chat, kind, role):
    messages = [{"role": role, "content": "a helpful robot"}, user("who are you")]
    answer = chat.chat.completions.create(model=f"{kind}/m", messages=messages)
    assert answer.choices[0].message.content == "I am: a helpful robot"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_stop_reasons(chat, kind, streamed):
    long = complete(chat, streamed, model=f"{kind}/m", messages=[user("say more")], stop=["more"])
    assert (long.choices[0].message.content or "", long.choices[0].finish_reason) == ("", "stop")
    cut = complete(chat, streamed, model=f"{kind}/m", messages=[user("Hi")], stop=["scripted"])
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("Hello from the ", "stop")
    call = {"model": f"{kind}/m", "messages": [user("refuse")]}
    if kind in ("openai", "responses", "azure", "dated"):
        assert complete(chat, streamed, **call).choices[0].message.refusal == "I cannot help with that."
    elif streamed:
        with pytest.raises(openai.ContentFilterFinishReasonError):
            complete(chat, streamed, **call)
    else:
        assert complete(chat, streamed, **call).choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_stops_for_length(chat, kind):
    chunks = list(chat.chat.completions.create(model=f"{kind}/m", messages=[user("long")], max_tokens=20, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length"
    answer = chat.chat.completions.create(model=f"{kind}/m", messages=[user("long")], max_completion_tokens=20)
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_reasoning_comes_back_unchanged_in_the_next_turn(chat, scripted, kind, streamed):
    # The provider refuses a signature that is not its own, and where its wire demands one, a missing one.
    scripted.forget()
    call = {"model": f"{kind}/m", "tools": [TOOL], "reasoning_effort": "low"}
    messages = [user(f"think: {matrix.ASK}")]
    first = complete(chat, streamed, messages=messages, **call)
    message = first.choices[0].message
    assert first.usage.completion_tokens == model.OUTPUT + model.REASONING
    if kind != "bedrock":  # which does not count it apart
        assert first.usage.completion_tokens_details.reasoning_tokens == model.REASONING
    assert message.reasoning_content == model.THOUGHT
    assert len(message.tool_calls) == 2
    messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
    for tool_call in message.tool_calls:
        result = matrix.weather(json.loads(tool_call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": tool_call.id, "content": result})
    last = complete(chat, streamed, messages=messages, **call)
    assert last.choices[0].message.content == matrix.ANSWER
    assert "c2tpcF90aG91Z2h0" not in json.dumps(scripted.requests()), "no stand-in for a signature that was there"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_what_is_lost_is_named_or_refused(chat, kind):
    carried = {"openai", "responses", "azure", "dated"}
    call = {"model": f"{kind}/m", "messages": [user("Hi")], "seed": 1, "logit_bias": {"7": 1}, "user": "me"}
    answer = chat.chat.completions.with_raw_response.create(**call)
    dropped = answer.headers.get("x-nexus-dropped", "").split(",")
    strict = {"x-nexus-fidelity": "strict"}
    if kind in carried:
        assert dropped == [""]
        chat.chat.completions.create(**call, extra_headers=strict)
        return
    assert "logit_bias" in dropped
    assert ("seed" in dropped) == (kind != "google")
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        chat.chat.completions.create(**call, extra_headers=strict)
    hints = {"model": f"{kind}/m", "messages": [user("Hi")], "user": "me", "store": False}
    assert chat.chat.completions.create(**hints, extra_headers=strict).choices[0].message.content == model.TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_async_client(base, caller, kind):
    async def many():
        options = {"base_url": f"{base('openai')}/v1", "api_key": "unused", "default_headers": caller, "max_retries": 0}
        async with openai.AsyncOpenAI(**options) as client:
            calls = [client.chat.completions.create(model=f"{kind}/m", messages=[user(f"say {n}")]) for n in range(5)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    assert asyncio.run(many()) == [says(kind, f"say {n}", str(n)) for n in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_models(chat, kind):
    listed = {entry.id: entry for entry in chat.models.list()}
    assert listed[f"{kind}/m"].owned_by == {"responses": "openai", "dated": "azure"}.get(kind, kind)
    assert chat.models.retrieve(f"{kind}/org/m:1").id == f"{kind}/org/m:1"


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings(chat, kind):
    if kind in ("anthropic", "bedrock"):
        with pytest.raises(openai.BadRequestError):
            chat.embeddings.create(model=f"{kind}/m", input="abc")
        return
    for more in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        answer = chat.embeddings.create(model=f"{kind}/m", input=["abc", "four"], dimensions=5, **more)
        assert answer.model == f"{kind}/m"
        assert answer.usage.prompt_tokens > 0
        if kind != "echo" and more.get("encoding_format") != "base64":
            vectors = [entry.embedding for entry in answer.data]
            assert vectors == [[3.0, 0.5, 0.25, 0.125, 0.0625], [4.0, 0.5, 0.25, 0.125, 0.0625]]
