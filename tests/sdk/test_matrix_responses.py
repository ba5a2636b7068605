"""OpenAI's SDK speaks Responses to every kind of provider."""

import asyncio
import json

import matrix
import model
import openai
import pytest
from matrix import KINDS, SCRIPTED, says
from pydantic import BaseModel

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells it",
    "parameters": matrix.SCHEMA,
    "strict": True,
}


class City(BaseModel):
    city: str
    days: int


@pytest.fixture(params=["whole", "streamed", "helped"])
def way(request):
    return request.param


def respond(client, way, **call):
    """The answer: whole, the last event of a stream, or what the SDK's helper puts together."""
    call = {"store": False, **call}
    if way == "whole":
        return client.responses.create(**call)
    if way == "streamed":
        return list(client.responses.create(**call, stream=True))[-1].response
    with client.responses.stream(**call) as stream:
        return stream.get_final_response()


@pytest.mark.parametrize("kind", KINDS)
def test_response(chat, kind, way):
    answer = respond(chat, way, model=f"{kind}/m", input="Good morning")
    assert answer.output_text == says(kind, "Good morning")
    assert (answer.status, answer.model) == ("completed", f"{kind}/m")
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    if kind != "echo":
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (model.INPUT, model.OUTPUT)
        assert answer.usage.input_tokens_details.cached_tokens == model.CACHED


@pytest.mark.parametrize("kind", KINDS)
def test_events_of_a_stream(chat, kind):
    events = list(chat.responses.create(model=f"{kind}/m", input="one two three", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == says(kind, "one two three")
    assert len(deltas) > 2, "it comes piece by piece"
    assert events[-1].response.id == events[0].response.id


@pytest.mark.parametrize("kind", SCRIPTED)
def test_tools_are_called_in_parallel_and_answered(chat, kind, way):
    conversation = [{"role": "user", "content": matrix.ASK}]
    call = {"model": f"{kind}/m", "tools": [TOOL], "instructions": "Be kind."}
    first = respond(chat, way, input=conversation, **call)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(item.arguments)["city"] for item in calls] == ["Paris", "Rome"]
    conversation += sent_back(first)
    for item in calls:
        output = matrix.weather(json.loads(item.arguments))
        conversation.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
    assert respond(chat, way, input=conversation, **call).output_text == matrix.ANSWER


def sent_back(response):
    """Items as the SDK gives them, without what its parser has added."""
    return [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output]


@pytest.mark.parametrize("kind", KINDS)
def test_structured_output(chat, kind, way):
    asked = matrix.CITY_TEXT if kind == "echo" else "Where? The weather in Oslo"
    call = {"model": f"{kind}/m", "input": asked, "text_format": City}
    if way == "whole":
        assert chat.responses.parse(**call).output_parsed == City(city="Oslo", days=7)
    else:
        with chat.responses.stream(**call) as stream:
            assert stream.get_final_response().output_parsed == City(city="Oslo", days=7)


@pytest.mark.parametrize("kind", SCRIPTED)
def test_images_by_data(chat, kind):
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{matrix.IMAGE}", "detail": "auto"}
    given = [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, image]}]
    assert chat.responses.create(model=f"{kind}/m", input=given).output_text == matrix.SEEN


@pytest.mark.parametrize("kind", SCRIPTED)
def test_instructions(chat, kind):
    answer = chat.responses.create(model=f"{kind}/m", input="who are you", instructions="a helpful robot")
    assert answer.output_text == "I am: a helpful robot"


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("way", ["whole", "streamed"])  # the helper knows responses that were completed only
def test_stop_reasons(chat, kind, way):
    cut = respond(chat, way, model=f"{kind}/m", input="long", max_output_tokens=20)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    refused = respond(chat, way, model=f"{kind}/m", input="refuse")
    if kind in ("openai", "responses", "azure", "dated"):
        assert refused.output[0].content[0].refusal == "I cannot help with that."
    else:
        assert refused.status == "incomplete" and refused.incomplete_details.reason == "content_filter"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_reasoning_comes_back_unchanged_in_the_next_turn(chat, scripted, kind, way):
    scripted.forget()
    call = {"model": f"{kind}/m", "tools": [TOOL], "include": ["reasoning.encrypted_content"]}
    call["reasoning"] = {"effort": "low", "summary": "auto"}
    conversation = [{"role": "user", "content": f"think: {matrix.ASK}"}]
    first = respond(chat, way, input=conversation, **call)
    assert first.usage.output_tokens == model.OUTPUT + model.REASONING
    if kind != "bedrock":  # which does not count it apart
        assert first.usage.output_tokens_details.reasoning_tokens == model.REASONING
    thoughts = [part.text for item in first.output if item.type == "reasoning" for part in item.summary]
    assert "".join(thoughts) == model.THOUGHT
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) == 2
    conversation += sent_back(first)
    for item in calls:
        output = matrix.weather(json.loads(item.arguments))
        conversation.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
    assert respond(chat, way, input=conversation, **call).output_text == matrix.ANSWER
    assert "c2tpcF90aG91Z2h0" not in json.dumps(scripted.requests()), "no stand-in for a signature that was there"


@pytest.mark.parametrize("kind", KINDS)
def test_what_needs_a_memory_is_refused_without_one(chat, kind):
    with pytest.raises(openai.BadRequestError) as caught:
        chat.responses.create(model=f"{kind}/m", input="Hi", previous_response_id="resp_1")
    own = kind in ("responses", "azure", "dated")
    assert ("not found" in str(caught.value)) == own, "only such a provider can say that it does not know it"


@pytest.mark.parametrize("kind", KINDS)
def test_async_client(base, caller, kind):
    async def many():
        options = {"base_url": f"{base('openai')}/v1", "api_key": "unused", "default_headers": caller, "max_retries": 0}
        async with openai.AsyncOpenAI(**options) as client:
            calls = [client.responses.create(model=f"{kind}/m", input=f"say {n}") for n in range(3)]
            return [answer.output_text for answer in await asyncio.gather(*calls)]

    assert asyncio.run(many()) == [says(kind, f"say {n}", str(n)) for n in range(3)]
