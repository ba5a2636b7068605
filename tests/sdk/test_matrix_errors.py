"""Failures of every kind of provider, and limits, are the typed exceptions of each SDK."""

import anthropic

import model
import openai
import pytest
from google.genai import errors, types
from matrix import KINDS, SCRIPTED

STATUSES = [400, 403, 404, 429, 500, 503]

OPENAI = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    529: openai.InternalServerError,
}
ANTHROPIC = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
    503: anthropic.InternalServerError,
    529: anthropic.InternalServerError,
}


class Chat:
    """Chat completions of OpenAI's SDK."""

    fixture, any, types = "chat", openai.APIError, OPENAI

    @staticmethod
    def ask(client, name, text, headers=None):
        call = {"model": name, "messages": [{"role": "user", "content": text}]}
        client.chat.completions.create(**call, extra_headers=headers)

    @staticmethod
    def stream(client, name, text):
        chunks = client.chat.completions.create(model=name, messages=[{"role": "user", "content": text}], stream=True)
        yield from (
            chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content
        )


class Responses:
    """Responses of OpenAI's SDK."""

    fixture, any, types = "chat", openai.APIError, OPENAI

    @staticmethod
    def ask(client, name, text, headers=None):
        client.responses.create(model=name, input=text, extra_headers=headers)

    @staticmethod
    def stream(client, name, text):
        events = client.responses.create(model=name, input=text, stream=True)
        for event in events:
            if event.type == "error":  # as OpenAI's own: the SDK hands the event on
                raise openai.APIError(event.message, events.response.request, body=None)
            if event.type == "response.output_text.delta":
                yield event.delta


class Claude:
    """Anthropic's SDK."""

    fixture, any, types = "claude", anthropic.APIError, ANTHROPIC

    @staticmethod
    def ask(client, name, text, headers=None):
        call = {"model": name, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
        client.messages.create(**call, extra_headers=headers)

    @staticmethod
    def stream(client, name, text):
        with client.messages.stream(model=name, max_tokens=100, messages=[{"role": "user", "content": text}]) as stream:
            yield from stream.text_stream


class Gemini:
    """Google's SDK: two classes, by the first figure of the status."""

    fixture, any = "gemini", errors.APIError
    types = {status: errors.ClientError if status < 500 else errors.ServerError for status in (*STATUSES, 401, 529)}

    @staticmethod
    def ask(client, name, text, headers=None):
        config = types.GenerateContentConfig(http_options=types.HttpOptions(headers=headers or {}))
        client.models.generate_content(model=name, contents=text, config=config)

    @staticmethod
    def stream(client, name, text):
        chunks = client.models.generate_content_stream(model=name, contents=text)
        yield from (chunk.text for chunk in chunks if chunk.text)


@pytest.fixture(params=[Chat, Responses, Claude, Gemini], ids=lambda sdk: sdk.__name__.lower())
def sdk(request):
    return request.param


@pytest.fixture
def client(sdk, request):
    return request.getfixturevalue(sdk.fixture)


def status_of(error):
    return getattr(error, "status_code", None) or error.code


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("status", STATUSES)
def test_a_failure_keeps_its_status_and_its_words(sdk, client, kind, status):
    # Of Bedrock, access that is denied means the credential of the provider.
    expected = 401 if (kind, status) == ("bedrock", 403) else status
    for ask in (sdk.ask, lambda *call: list(sdk.stream(*call))):
        with pytest.raises(sdk.types[expected]) as caught:
            ask(client, f"{kind}/m", f"fail {status}")
        assert status_of(caught.value) == expected
        assert f"scripted failure {status}" in str(caught.value)
        # Bedrock does not say when to come again; Google says it in the body, which Google's SDK gets as it is.
        if status in (429, 503) and kind != "bedrock" and (kind, sdk) != ("google", Gemini):
            assert caught.value.response.headers["retry-after"] == str(model.RETRY_AFTER)


@pytest.mark.parametrize("kind", ["anthropic"])
def test_an_overloaded_provider(sdk, client, kind):
    with pytest.raises(sdk.types[529]) as caught:
        sdk.ask(client, f"{kind}/m", "fail 529")
    assert status_of(caught.value) == 529
    if sdk is Claude:
        assert caught.value.body["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_a_key_that_the_provider_refuses(sdk, client, kind):
    # Google's 400 means the key, and so does Bedrock's 403.
    with pytest.raises(sdk.any) as caught:
        sdk.ask(client, f"{kind}-wrong/m", "Hi")
    same = kind == "google" and sdk is Gemini
    assert status_of(caught.value) == (400 if same else 401)
    assert isinstance(caught.value, sdk.types[status_of(caught.value)])


@pytest.mark.parametrize("kind", SCRIPTED)
def test_a_model_that_is_not_there(sdk, client, kind):
    with pytest.raises(sdk.types[404]):
        sdk.ask(client, f"{kind}/none", "Hi")
    with pytest.raises(sdk.any) as caught:
        sdk.ask(client, f"{kind}/gone", "Hi")
    # Bedrock says that the identifier is not valid.
    assert status_of(caught.value) == (400 if kind == "bedrock" else 404)


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("text", ["fail later", "break"])
def test_a_stream_that_fails_in_the_middle_raises(sdk, client, kind, text):
    words = []
    with pytest.raises(sdk.any):
        for word in sdk.stream(client, f"{kind}/m", text):
            words.append(word)
    assert "".join(words) == "one two"


@pytest.mark.parametrize("kind", SCRIPTED)
def test_an_answer_that_breaks_off_raises(sdk, client, kind):
    with pytest.raises(sdk.any) as caught:
        sdk.ask(client, f"{kind}/m", "break")
    assert status_of(caught.value) in (500, 502)


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_of_the_router(sdk, client, caller, kind):
    sdk.ask(client, f"{kind}/daily", "Hi", caller)
    with pytest.raises(sdk.types[429]) as caught:
        sdk.ask(client, f"{kind}/daily", "Hi", caller)
    assert status_of(caught.value) == 429
    assert int(caught.value.response.headers["retry-after"]) > 80_000


def test_a_caller_who_says_nothing_of_himself(router):
    options = {"base_url": f"http://{router.address}/llm/openai/v1", "api_key": "unused", "max_retries": 0}
    with openai.OpenAI(**options) as client, pytest.raises(openai.BadRequestError):
        Chat.ask(client, "echo/m", "Hi")
    options["base_url"] = f"http://{router.address}/llm/anthropic"
    with anthropic.Anthropic(**options) as client, pytest.raises(anthropic.BadRequestError):
        Claude.ask(client, "echo/m", "Hi")
