"""An answer that a provider gave in its own protocol means the same to the clients of every other."""

import json

import exchanges
import meaning
import pytest
from nexus import target
from replay import SPLITS

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "google")
KIND = {"openai-chat": "chat", "anthropic": "anthropic", "google": "google", "bedrock": "bedrock"}
ALL = [exchange for exchange in exchanges.load() if exchange.dialect in KIND]
CELLS = [(exchange, client) for exchange in ALL for client in CLIENTS if client != exchange.dialect]


def plain(client, model, streaming, framing="alt=sse"):
    """A short question in a client's dialect: target and body. `framing` is how Google's clients want a stream."""
    body = {
        "openai-chat": {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": streaming},
        "openai-responses": {"model": model, "input": "Hello", "stream": streaming},
        "anthropic": {
            "model": model,
            "max_tokens": 999,
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": streaming,
        },
        # Google shows thoughts to those who ask for them.
        "google": {
            "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
            "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
        },
    }[client]
    if streaming and client == "openai-chat":
        body["stream_options"] = {"include_usage": True}
    query = framing if streaming and client == "google" else ""
    return target(client, model, streaming, query), json.dumps(body)


def check(said, heard, client):
    """The client heard what the provider said, as far as the client's dialect has words for it."""
    if said.error or heard.error:
        assert said.error and heard.error and said.text.startswith(heard.text)
        return
    # OpenAI stops after a refusal as after any answer; elsewhere that is an ending of its own.
    stop = heard.stop if said.refused and heard.stop == "filter" else said.stop
    assert (heard.text, heard.calls, heard.stop) == (said.text, said.calls, stop)
    assert heard.reasoning == said.reasoning
    if said.usage is None:
        return
    counts = ["input", "output", "cached"]
    if client == "anthropic":
        counts.append("written")
    else:
        counts.append("reasoning")
    assert {name: heard.usage[name] for name in counts} == {name: said.usage[name] for name in counts}


def check_chunks(said, body):
    """The frame of OpenAI's chunks: one id and one time, a role first, and the terminator, which no error has behind it."""
    chunks = [chunk for _, chunk in meaning.sse(body) if "error" not in chunk]
    assert len({(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert body.endswith(b"data: [DONE]\n\n") != bool(said.error)


def words(exchange):
    """What an error says to a person."""
    body = json.loads(exchange.body)
    body = body[0] if isinstance(body, list) else body
    error = body.get("error") or body
    said = error if isinstance(error, str) else error.get("message") or error.get("detail")
    # A list of complaints is told as it is.
    return said if isinstance(said, str) else said[0]["msg"]


def is_error(exchange):
    """Whether the provider said no, be it under a good status."""
    if exchange.status == 200 and not exchange.streaming:
        return bool(json.loads(exchange.body).get("error"))
    return exchange.status != 200


def check_error(exchange, answer, client):
    """The error in the client's own shape, with the provider's words and a status of the same meaning."""
    # A wrong key is 400 to Google and 403 to Bedrock; an error under a good status is no good status here.
    assert answer.status in {401, 502 if exchange.status == 200 else exchange.status}, answer.body
    error = json.loads(answer.body)["error"]
    assert words(exchange)[:1500] in error["message"]
    if client == "google":
        assert error["code"] == answer.status and error["status"]
    else:
        assert error["type"]


@pytest.mark.parametrize("exchange,client", CELLS, ids=lambda cell: getattr(cell, "id", cell))
def test_an_answer_means_the_same_to_every_client(exchange, client, nexus, provider):
    said = (
        None
        if is_error(exchange)
        else meaning.read(exchange.dialect, exchange.streamed, exchange.content_type, exchange.body)
    )
    for split in SPLITS if exchange.streamed else [""]:
        framing = "" if split == "utf8" else "alt=sse"
        where, body = plain(client, f"{KIND[exchange.dialect]}/{exchange.model}", exchange.streaming, framing)
        provider.put_on(exchange, split)
        answer = nexus.ask(where, body)
        assert len(provider.received) == 1, answer.body
        if said is None:
            check_error(exchange, answer, client)
            continue
        assert answer.status == 200, answer.body
        if client == "openai-chat" and exchange.streamed:
            check_chunks(said, answer.body)
        check(said, meaning.read(client, exchange.streamed, answer.headers["content-type"], answer.body), client)
