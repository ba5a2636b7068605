"""Anthropic's SDK speaks messages to every kind of provider."""

import asyncio
import json

import anthropic
import matrix
import model
import pytest
from matrix import KINDS, SCRIPTED, says
from pydantic import BaseModel

TOOL = {"name": "get_weather", "description": "Tells it", "input_schema": matrix.SCHEMA}


class City(BaseModel):
    city: str
    days: int


def user(content):
    return {"role": "user", "content": content}


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


def say(client, streamed, **call):
    """The answer, whole or put together by the SDK from a stream."""
    call = {"max_tokens": 4000, **call}
    if not streamed:
        return client.messages.create(**call)
    with client.messages.stream(**call) as stream:
        return stream.get_final_message()


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


@pytest.mark.parametrize("kind", KINDS)
def test_message(claude, kind, streamed):
    answer = say(claude, streamed, model=f"{kind}/m", messages=[user("Good morning")])
    assert text_of(answer) == says(kind, "Good morning")
    assert (answer.type, answer.role, answer.stop_reason, answer.model) == (
        "message",
        "assistant",
        "end_turn",
        f"{kind}/m",
    )
    if kind != "echo":
        usage = answer.usage
        assert (usage.input_tokens, usage.output_tokens) == (model.INPUT - model.CACHED, model.OUTPUT)
        assert usage.cache_read_input_tokens == model.CACHED


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_a_stream(claude, kind):
    with claude.messages.stream(model=f"{kind}/m", max_tokens=100, messages=[user("one two three")]) as stream:
        words = list(stream.text_stream)
    assert "".join(words) == says(kind, "one two three")
    assert len(words) > 2, "it comes piece by piece"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_tools_are_called_in_parallel_and_answered(claude, kind, streamed):
    call = {"model": f"{kind}/m", "tools": [TOOL], "system": "Be kind."}
    messages = [user(matrix.ASK)]
    first = say(claude, streamed, messages=messages, **call)
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [block.input["city"] for block in calls] == ["Paris", "Rome"]
    messages += [{"role": "assistant", "content": first.content}, user(results(calls))]
    last = say(claude, streamed, messages=messages, **call)
    assert (text_of(last), last.stop_reason) == (matrix.ANSWER, "end_turn")


def results(calls):
    made = [{"type": "tool_result", "tool_use_id": block.id, "content": matrix.weather(block.input)} for block in calls]
    made[-1]["content"] = [{"type": "text", "text": made[-1]["content"]}]
    return made


@pytest.mark.parametrize("kind", SCRIPTED)
def test_a_tool_that_failed(claude, kind):
    used = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo", "days": 7}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True}
    messages = [user("Hi"), {"role": "assistant", "content": [used]}, user([result])]
    answer = say(claude, False, model=f"{kind}/m", messages=messages, tools=[TOOL])
    assert "(error) " in text_of(answer) and "no such city" in text_of(answer)


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("choice", ["none", "any", "tool"])
def test_the_choice_of_tools(claude, kind, choice):
    choice = {"type": choice, **({"name": "get_weather"} if choice == "tool" else {})}
    answer = say(claude, False, model=f"{kind}/m", messages=[user("Hi")], tools=[TOOL], tool_choice=choice)
    assert answer.stop_reason == ("end_turn" if choice["type"] == "none" else "tool_use")


@pytest.mark.parametrize("kind", KINDS)
def test_structured_output(claude, kind, streamed):
    asked = matrix.CITY_TEXT if kind == "echo" else "Where? The weather in Oslo"
    call = {"model": f"{kind}/m", "max_tokens": 100, "messages": [user(asked)], "output_format": City}
    if streamed:
        with claude.messages.stream(**call) as stream:
            answer = stream.get_final_message()
    else:
        answer = claude.messages.parse(**call)
    assert answer.parsed_output == City(city="Oslo", days=7)


@pytest.mark.parametrize("kind", SCRIPTED)
def test_images_by_data(claude, kind):
    source = {"type": "base64", "media_type": "image/png", "data": matrix.IMAGE}
    messages = [user([{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}])]
    assert text_of(say(claude, False, model=f"{kind}/m", messages=messages)) == matrix.SEEN


@pytest.mark.parametrize("kind", SCRIPTED)
def test_the_system_prompt(claude, kind):
    system = [
        {"type": "text", "text": "a helpful "},
        {"type": "text", "text": "robot", "cache_control": {"type": "ephemeral"}},
    ]
    answer = say(claude, False, model=f"{kind}/m", messages=[user("who are you")], system=system)
    assert text_of(answer).split("I am: ")[1].replace("\n", "") == "a helpful robot"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_stop_reasons(claude, kind, streamed):
    cut = say(claude, streamed, model=f"{kind}/m", messages=[user("long")])
    assert cut.stop_reason == "max_tokens"
    refused = say(claude, streamed, model=f"{kind}/m", messages=[user("refuse")])
    assert refused.stop_reason == "refusal"
    stopped = say(claude, streamed, model=f"{kind}/m", messages=[user("Hi")], stop_sequences=["scripted"])
    assert text_of(stopped) == "Hello from the "
    # Only Claude's wires tell a stop sequence from an end.
    assert stopped.stop_reason == ("stop_sequence" if kind in ("anthropic", "bedrock") else "end_turn")


@pytest.mark.parametrize("kind", SCRIPTED)
def test_thinking_comes_back_unchanged_in_the_next_turn(claude, scripted, kind, streamed):
    scripted.forget()
    call = {"model": f"{kind}/m", "tools": [TOOL], "thinking": {"type": "enabled", "budget_tokens": 2048}}
    messages = [user(f"think: {matrix.ASK}")]
    first = say(claude, streamed, messages=messages, **call)
    assert first.usage.output_tokens == model.OUTPUT + model.REASONING
    assert "".join(block.thinking for block in first.content if block.type == "thinking") == model.THOUGHT
    calls = [block for block in first.content if block.type == "tool_use"]
    assert len(calls) == 2
    messages += [{"role": "assistant", "content": first.content}, user(results(calls))]
    assert text_of(say(claude, streamed, messages=messages, **call)) == matrix.ANSWER
    assert "c2tpcF90aG91Z2h0" not in json.dumps(scripted.requests()), "no stand-in for a signature that was there"


@pytest.mark.parametrize("kind", KINDS)
def test_count_of_tokens(claude, kind):
    call = {"model": f"{kind}/m", "messages": [user("Hello")], "system": "Be kind.", "tools": [TOOL]}
    answer = claude.messages.with_raw_response.count_tokens(**call)
    own = kind in ("anthropic", "google")
    assert answer.headers.get("x-nexus-estimate") == (None if own else "true")
    assert (answer.parse().input_tokens == model.COUNTED) == own
    assert answer.parse().input_tokens > 8


@pytest.mark.parametrize("kind", SCRIPTED)
def test_what_is_lost_is_named_or_refused(claude, kind):
    call = {"model": f"{kind}/m", "max_tokens": 100, "messages": [user("Hi")], "extra_body": {"top_k": 3}}
    dropped = claude.messages.with_raw_response.create(**call).headers.get("x-nexus-dropped")
    strict = {"x-nexus-fidelity": "strict"}
    if kind in ("anthropic", "bedrock", "google"):
        assert dropped is None
        claude.messages.create(**call, extra_headers=strict)
    else:
        assert dropped == "top_k"
        with pytest.raises(anthropic.BadRequestError, match="top_k"):
            claude.messages.create(**call, extra_headers=strict)


@pytest.mark.parametrize("kind", KINDS)
def test_async_client(base, caller, kind):
    async def many():
        options = {"base_url": base("anthropic"), "api_key": "unused", "default_headers": caller, "max_retries": 0}
        async with anthropic.AsyncAnthropic(**options) as client:
            call = {"model": f"{kind}/m", "max_tokens": 100}
            calls = [client.messages.create(messages=[user(f"say {n}")], **call) for n in range(3)]
            return [text_of(answer) for answer in await asyncio.gather(*calls)]

    assert asyncio.run(many()) == [says(kind, f"say {n}", str(n)) for n in range(3)]


def test_models(base, caller):
    with anthropic.Anthropic(base_url=base("anthropic"), api_key="unused", default_headers=caller) as client:
        listed = [entry.id for entry in client.models.list()]
        assert {f"{kind}/m" for kind in KINDS} <= set(listed)
        for kind in KINDS:
            entry = client.models.retrieve(f"{kind}/org/m:1")
            assert (entry.type, entry.id) == ("model", f"{kind}/org/m:1")
