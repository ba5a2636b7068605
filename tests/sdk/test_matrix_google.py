"""Google's SDK speaks generateContent to every kind of provider."""

import asyncio
import json

import matrix
import model
import pytest
from google import genai
from google.genai import errors, types
from matrix import KINDS, SCRIPTED, says
from pydantic import BaseModel

TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", description="Tells it", parameters_json_schema=matrix.SCHEMA)
    ]
)


class City(BaseModel):
    city: str
    days: int


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


def generate(client, streamed, **call):
    """The parts of the answer, and the answer or the last chunk of the stream."""
    if not streamed:
        answer = client.models.generate_content(**call)
        return list(answer.candidates[0].content.parts or []), answer
    chunks = list(client.models.generate_content_stream(**call))
    contents = [chunk.candidates[0].content for chunk in chunks if chunk.candidates]
    return [part for content in contents if content for part in content.parts or []], chunks[-1]


def text_of(parts):
    return "".join(part.text for part in parts if part.text and not part.thought)


@pytest.mark.parametrize("kind", KINDS)
def test_generate(gemini, kind, streamed):
    parts, answer = generate(gemini, streamed, model=f"{kind}/m", contents="Good morning")
    assert text_of(parts) == says(kind, "Good morning")
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == f"{kind}/m"
    usage = answer.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    if kind != "echo":
        assert (usage.prompt_token_count, usage.candidates_token_count) == (model.INPUT, model.OUTPUT)
        assert usage.cached_content_token_count == model.CACHED


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_a_stream(gemini, kind):
    chunks = list(gemini.models.generate_content_stream(model=f"{kind}/m", contents="one two three"))
    words = [chunk.text for chunk in chunks if chunk.text]
    assert "".join(words) == says(kind, "one two three")
    assert len(words) > 2, "it comes piece by piece"
    assert len({chunk.response_id for chunk in chunks}) == 1


@pytest.mark.parametrize("kind", SCRIPTED)
def test_tools_are_called_in_parallel_and_answered(gemini, kind, streamed):
    config = types.GenerateContentConfig(tools=[TOOL], system_instruction="Be kind.")
    contents = [types.UserContent(matrix.ASK)]
    parts, answer = generate(gemini, streamed, model=f"{kind}/m", contents=contents, config=config)
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert [part.function_call.args["city"] for part in parts if part.function_call] == ["Paris", "Rome"]
    contents += [types.ModelContent(parts), results(parts)]
    parts, _ = generate(gemini, streamed, model=f"{kind}/m", contents=contents, config=config)
    assert text_of(parts) == matrix.ANSWER


def results(parts):
    calls = [part.function_call for part in parts if part.function_call]
    answers = [
        types.FunctionResponse(id=call.id, name=call.name, response={"output": matrix.weather(call.args)})
        for call in calls
    ]
    return types.UserContent([types.Part(function_response=answer) for answer in answers])


@pytest.mark.parametrize("kind", SCRIPTED)
def test_functions_that_the_sdk_calls_itself(gemini, kind):
    def get_weather(city: str) -> str:
        """Tells the weather."""
        return f"rain in {city}"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = gemini.models.generate_content(model=f"{kind}/m", contents=matrix.ASK, config=config)
    assert answer.text == "The tools say: rain in Paris and rain in Rome"


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("mode", ["NONE", "ANY"])
def test_the_choice_of_tools(gemini, kind, mode):
    choice = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode))
    config = types.GenerateContentConfig(tools=[TOOL], tool_config=choice)
    answer = gemini.models.generate_content(model=f"{kind}/m", contents="Hi", config=config)
    assert bool(answer.function_calls) == (mode == "ANY")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("member", ["response_schema", "response_json_schema"])
def test_structured_output(gemini, kind, member):
    asked = matrix.CITY_TEXT if kind == "echo" else "Where? The weather in Oslo"
    schema = City if member == "response_schema" else matrix.SCHEMA
    config = types.GenerateContentConfig(response_mime_type="application/json", **{member: schema})
    answer = gemini.models.generate_content(model=f"{kind}/m", contents=asked, config=config)
    assert (City(**answer.parsed) if isinstance(answer.parsed, dict) else answer.parsed) == City(city="Oslo", days=7)


@pytest.mark.parametrize("kind", SCRIPTED)
def test_images_by_data(gemini, kind):
    contents = ["What is it?", types.Part.from_bytes(data=matrix.PNG, mime_type="image/png")]
    assert gemini.models.generate_content(model=f"{kind}/m", contents=contents).text == matrix.SEEN


@pytest.mark.parametrize("kind", SCRIPTED)
def test_the_system_prompt(gemini, kind):
    config = types.GenerateContentConfig(system_instruction="a helpful robot")
    answer = gemini.models.generate_content(model=f"{kind}/m", contents="who are you", config=config)
    assert answer.text == "I am: a helpful robot"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_finish_reasons(gemini, kind, streamed):
    _, cut = generate(gemini, streamed, model=f"{kind}/m", contents="long")
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    refused = list(gemini.models.generate_content_stream(model=f"{kind}/m", contents="refuse"))[-1]
    assert refused.candidates[0].finish_reason == types.FinishReason.SAFETY
    config = types.GenerateContentConfig(stop_sequences=["scripted"])
    parts, _ = generate(gemini, streamed, model=f"{kind}/m", contents="Hi", config=config)
    assert text_of(parts) == "Hello from the "


@pytest.mark.parametrize("kind", SCRIPTED)
def test_thoughts_come_back_unchanged_in_the_next_turn(gemini, scripted, kind, streamed):
    scripted.forget()
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
    config = types.GenerateContentConfig(tools=[TOOL], thinking_config=thinking)
    contents = [types.UserContent(f"think: {matrix.ASK}")]
    parts, answer = generate(gemini, streamed, model=f"{kind}/m", contents=contents, config=config)
    if kind != "bedrock":  # which does not count it apart
        assert answer.usage_metadata.thoughts_token_count == model.REASONING
    assert "".join(part.text for part in parts if part.thought and part.text) == model.THOUGHT
    assert len([part for part in parts if part.function_call]) == 2
    contents += [types.ModelContent(parts), results(parts)]
    parts, _ = generate(gemini, streamed, model=f"{kind}/m", contents=contents, config=config)
    assert text_of(parts) == matrix.ANSWER
    assert "c2tpcF90aG91Z2h0" not in json.dumps(scripted.requests()), "no stand-in for a signature that was there"


@pytest.mark.parametrize("kind", KINDS)
def test_count_of_tokens(gemini, kind):
    answer = gemini.models.count_tokens(model=f"{kind}/m", contents="Hello")
    headers = {name.lower(): value for name, value in answer.sdk_http_response.headers.items()}
    own = kind in ("anthropic", "google")
    assert headers.get("x-nexus-estimate") == (None if own else "true")
    assert answer.total_tokens == (model.COUNTED if own else 8)


@pytest.mark.parametrize("kind", SCRIPTED)
def test_what_is_lost_is_named_or_refused(gemini, kind):
    config = types.GenerateContentConfig(top_k=3)
    answer = gemini.models.generate_content(model=f"{kind}/m", contents="Hi", config=config)
    headers = {name.lower(): value for name, value in answer.sdk_http_response.headers.items()}
    dropped = headers.get("x-nexus-dropped")
    strict = types.HttpOptions(headers={"x-nexus-fidelity": "strict"})
    config = types.GenerateContentConfig(top_k=3, http_options=strict)
    if kind in ("anthropic", "bedrock", "google"):
        assert dropped is None
        gemini.models.generate_content(model=f"{kind}/m", contents="Hi", config=config)
    else:
        assert dropped == "generationConfig.topK"
        with pytest.raises(errors.ClientError, match="topK"):
            gemini.models.generate_content(model=f"{kind}/m", contents="Hi", config=config)


@pytest.mark.parametrize("kind", KINDS)
def test_async_client(base, caller, kind):
    async def many():
        client = genai.Client(api_key="unused", http_options={"base_url": base("google"), "headers": caller})
        calls = [client.aio.models.generate_content(model=f"{kind}/m", contents=f"say {n}") for n in range(3)]
        answers = [answer.text for answer in await asyncio.gather(*calls)]
        await client.aio.aclose()
        return answers

    assert asyncio.run(many()) == [says(kind, f"say {n}", str(n)) for n in range(3)]


def test_models(base, caller):
    with genai.Client(api_key="unused", http_options={"base_url": base("google"), "headers": caller}) as client:
        listed = {entry.name for entry in client.models.list()}
        assert {f"models/{kind}/m" for kind in KINDS} <= listed
        for kind in KINDS:
            assert client.models.get(model=f"{kind}/org/m:1").name == f"models/{kind}/org/m:1"
