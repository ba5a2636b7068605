"""A call whose provider speaks the caller's own protocol: the bytes pass, both ways."""

import json
import re

import exchanges
import pytest
from json_spans import elements, renamed, spans
from nexus import target
from replay import SPLITS

ALL = [exchange for exchange in exchanges.load() if exchange.dialect != "bedrock"]
KIND = {"openai-chat": "responses", "openai-responses": "responses", "openai-embeddings": "responses"}
INJECTED = re.compile(rb',?"stream_options":\{"include_usage":true\},?|"include_usage":true,?|,"include_usage":true')


def asked(exchange):
    """The recorded request as the client sends it: target, headers, body."""
    model = f"{KIND.get(exchange.dialect, exchange.dialect)}/{exchange.model}"
    request = exchange.request
    if exchange.dialect != "google":
        request = {**request, "model": model}
    # Every other item without spaces, and characters as they are: the bytes of a client are its own affair.
    body = json.dumps(request, ensure_ascii=len(exchange.id) % 2 == 0, separators=(",", ":")).encode()
    headers = {name: value for name, value in exchange.request_headers.items() if name.startswith("anthropic-")}
    return target(exchange.dialect, model, exchange.streaming, exchange.query), headers, body, model


def check_upstream(exchange, body, received):
    """The provider got the client's bytes, apart from the model and the usage that accounting needs."""
    if exchange.dialect != "google":
        text = body.decode()
        ((start, end),) = spans(text, "model")
        body = (text[:start] + json.dumps(exchange.model) + text[end:]).encode()
    if received.body == body:
        return
    assert exchange.streaming and exchange.dialect == "openai-chat", (body, received.body)
    extra = len(received.body) - len(body)
    common = next(at for at, (a, b) in enumerate(zip(received.body, body + b"\0")) if a != b)
    cuts = (
        at
        for at in range(max(0, common - extra), common + 1)
        if received.body[:at] + received.body[at + extra :] == body
    )
    assert any(INJECTED.fullmatch(received.body[at : at + extra]) for at in cuts), (body, received.body)


def events(body):
    """The events of a stream as they are written, comments and all."""
    return [event for event in re.split(rb"(?<=\r\n\r\n)|(?<=\n\n)|(?<=\r\r)", body) if event]


def event_renamed(event, model):
    """An event with its model renamed."""

    def data(found):
        try:
            return found[1] + renamed(found[2].decode(), model).encode()
        except (ValueError, IndexError):
            return found[0]

    return re.sub(rb"^(data: ?)(.*)$", data, event, flags=re.MULTILINE)


def is_usage_alone(event):
    """OpenAI's last chunk but one, which a client that did not ask for it does not see."""
    data = event.removeprefix(b"data:").strip()
    return data.startswith(b"{") and json.loads(data).get("choices") == [] and bool(json.loads(data).get("usage"))


def ends_by_itself(expected):
    """Whether the provider wrote the terminator, or nothing may follow because of an error."""
    return any(event.strip() == b"data: [DONE]" for event in expected) or b"error" in expected[-1]


def check_events(exchange, answer, model):
    """Event for event what the provider sent."""
    # A recording may lack the blank line behind its last event.
    body = exchange.body if re.search(rb"(\r\n|\n|\r)\1$", exchange.body) else exchange.body + b"\n\n"
    expected = [event_renamed(event, model) for event in events(body)]
    if exchange.dialect == "openai-chat":
        if not (exchange.request.get("stream_options") or {}).get("include_usage"):
            expected = [event for event in expected if not is_usage_alone(event)]
        if not ends_by_itself(expected):
            expected.append(b"data: [DONE]\n\n")
    assert events(answer.body) == expected


def check_items(exchange, answer, model):
    """Google's array, byte for byte."""
    text = exchange.body.decode()
    for start, end in reversed(list(elements(text))):
        text = text[:start] + renamed(text[start:end], model) + text[end:]
    assert answer.body.decode() == text


def check_whole(exchange, answer, model):
    """The provider's bytes."""
    if exchange.status == 200:
        assert answer.body.decode() == renamed(exchange.body.decode(), model)
    elif answer.body != exchange.body:
        # An error that is not in the protocol's shape is told in it, with the words that came.
        message = json.loads(answer.body)["error"]["message"]
        recorded = json.loads(exchange.body)
        words = next(recorded[name] for name in ("detail", "error", "message") if isinstance(recorded.get(name), str))
        assert words in message


@pytest.mark.parametrize("exchange", ALL, ids=lambda exchange: exchange.id)
def test_the_same_protocol_passes_as_it_is(exchange, nexus, provider):
    where, headers, body, model = asked(exchange)
    for split in SPLITS if exchange.streamed else [""]:
        provider.put_on(exchange, split)
        answer = nexus.ask(where, body, headers)
        assert answer.status == exchange.status, answer.body
        if not provider.received:
            # What is no request in this protocol is told so before any provider is asked.
            assert exchange.status == 400
            continue
        (received,) = provider.received
        check_upstream(exchange, body, received)
        if not exchange.streamed:
            check_whole(exchange, answer, model)
        elif exchange.content_type.startswith("text/event-stream"):
            check_events(exchange, answer, model)
        else:
            check_items(exchange, answer, model)
