"""Streams whose output limit is used up: to every SDK they look like a model that came to its own limit."""

from pathlib import Path

import anthropic
import matrix
import openai
import pytest
from google import genai
from google.genai import types
from matrix import KINDS, SCRIPTED
from router import Router

# So many words may be told; one more is at most.
LIMIT = 6
WORDS = " ".join(["word"] * 40)
SAY = f"say {WORDS}"

CUT = f"""
output_token_limit = {LIMIT}
interval = "1d"
on_output_limit = "cut"
"""
LEASE = """
[llm.limits]
output_lease = 1
"""
DEMO = Path(__file__).parents[2] / "config" / "demo.toml"

TOOL = {"name": "get_weather", "description": "Tells it", "input_schema": matrix.SCHEMA}


def limited(url):
    """A provider of each kind, whose callers may have a few words a day."""
    parts = [matrix.IDENTITY, LEASE]
    for kind, provider in matrix.PROVIDERS.items():
        parts.append(f"[llm.providers.{kind}]\n{provider.replace('{url}', url)}")
        if kind != "echo":
            parts.append(f'{"access_key_id" if kind == "bedrock" else "api_key"} = "key-of-provider"')
        parts.append(f'models.m = {{ rename = "{matrix.NAMES.get(kind, "model-1")}" }}')
        parts.append(f"[llm.providers.{kind}.rate_limits.per_user]{CUT}")
    return "\n".join(parts)


@pytest.fixture(scope="module")
def address(scripted, tmp_path_factory):
    """A running server with every kind of provider."""
    with Router(tmp_path_factory.mktemp("limited"), limited(scripted.url)) as router:
        yield router.address


def is_cut(text):
    """Whether these are the first of the words, as many as there may be."""
    told = text.removeprefix("say ")
    return WORDS.startswith(told) and LIMIT - 2 <= len(told.split()) <= LIMIT + 1


def chat(address, headers, model):
    """The text, the reason and the usage of a chat stream."""
    base_url = f"http://{address}/llm/openai/v1"
    with openai.OpenAI(base_url=base_url, api_key="unused", default_headers=headers, max_retries=0) as client:
        messages = [{"role": "user", "content": SAY}]
        options = {"include_usage": True}
        chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True, stream_options=options))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    return "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason, chunks[-1].usage


def claude(address, headers, model, **call):
    """The message that the SDK puts together of a stream."""
    base_url = f"http://{address}/llm/anthropic"
    with anthropic.Anthropic(base_url=base_url, api_key="unused", default_headers=headers, max_retries=0) as client:
        call = {"max_tokens": 4000, "messages": [{"role": "user", "content": SAY}], **call}
        with client.messages.stream(model=model, **call) as stream:
            return stream.get_final_message()


def gemini(address, headers, model):
    """The chunks of a stream."""
    options = {"base_url": f"http://{address}/llm/google", "headers": headers}
    client = genai.Client(api_key="unused", http_options=options)
    try:
        return list(client.models.generate_content_stream(model=model, contents=SAY))
    finally:
        client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_chat(address, caller, kind):
    text, reason, usage = chat(address, caller, f"{kind}/m")
    assert is_cut(text), text
    assert reason == "length"
    assert LIMIT <= usage.completion_tokens <= LIMIT + 1


@pytest.mark.parametrize("kind", KINDS)
def test_messages(address, caller, kind):
    message = claude(address, caller, f"{kind}/m")
    assert is_cut(message.content[0].text), message
    assert message.stop_reason == "max_tokens"
    assert LIMIT <= message.usage.output_tokens <= LIMIT + 1


# Google's calls come whole, and so do they go.
@pytest.mark.parametrize("kind", [kind for kind in SCRIPTED if kind != "google"])
def test_messages_within_a_call(address, caller, kind):
    message = claude(address, caller, f"{kind}/m", messages=[{"role": "user", "content": matrix.ASK}], tools=[TOOL])
    assert message.stop_reason == "max_tokens"
    assert message.content[-1].type == "tool_use"
    assert message.content[-1].input != {"city": "Rome", "days": 7}, "it is not whole"


@pytest.mark.parametrize("kind", KINDS)
def test_gemini(address, caller, kind):
    chunks = gemini(address, caller, f"{kind}/m")
    assert is_cut("".join(chunk.text or "" for chunk in chunks)), chunks
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert LIMIT <= chunks[-1].usage_metadata.candidates_token_count <= LIMIT + 1


@pytest.mark.parametrize("kind", KINDS)
def test_responses(address, caller, kind):
    base_url = f"http://{address}/llm/openai/v1"
    with openai.OpenAI(base_url=base_url, api_key="unused", default_headers=caller, max_retries=0) as client:
        events = list(client.responses.create(model=f"{kind}/m", input=SAY, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert is_cut(last.response.output_text), last
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert last.response.output_text == "".join(deltas)
    assert LIMIT <= last.response.usage.output_tokens <= LIMIT + 1


def test_the_demonstration(tmp_path):
    """As it stands but for the limit of its small group."""
    config = DEMO.read_text()
    assert "input_token_limit = 50" in config and "127.0.0.1:9090" in config
    config = config.replace('input_token_limit = 50\ninterval = "60s"', CUT).replace("127.0.0.1:9090", "127.0.0.1:0")
    with Router(tmp_path, config + LEASE) as router:
        callers = [{"X-User-Id": name, "X-Group-Id": "basic"} for name in ("alice", "bob", "carol")]
        text, reason, _ = chat(router.address, callers[0], "echo/parrot")
        assert is_cut(text) and reason == "length"
        assert claude(router.address, callers[1], "echo/parrot").stop_reason == "max_tokens"
        last = gemini(router.address, callers[2], "echo/parrot")[-1]
        assert last.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
        free = {"X-User-Id": "dave", "X-Group-Id": "premium"}
        assert chat(router.address, free, "echo/parrot")[:2] == (SAY, "stop")
