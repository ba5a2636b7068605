"""A request that was recorded for one provider reaches those of every other kind whole, or is refused by naming why."""

import json
import re

import exchanges
import pytest
from conversation import READERS, lowered, squeezed
from nexus import target

# Provider kinds, what they speak, and a model of theirs.
PROVIDERS = {
    "chat": ("openai-chat", "gpt-4o"),
    "anthropic": ("anthropic", "claude-sonnet-4-5"),
    "google": ("google", "gemini-2.5-flash"),
    "bedrock": ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
}
LOADED = exchanges.load()
CELLS = [
    (exchange, kind)
    for exchange in LOADED
    if exchange.dialect in READERS and exchange.dialect != "bedrock"
    for kind, (dialect, _) in PROVIDERS.items()
    if dialect != exchange.dialect
]

# A refusal says which part it is about: by its place, or by the name of a member.
NAMED = re.compile(r"\w+\[\d+\]|`[\w.\[\]]+`")

# How the chat target introduces what a tool's result cannot hold.
OUTPUT_OF = re.compile(r"Output of the tool call [\w-]+:")


def answering(dialect, streaming):
    """Any good answer of a provider: what is asked of it is looked at here."""
    fits = (e for e in LOADED if e.dialect == dialect and e.status == 200 and e.streaming == streaming)
    return next(fits)


def sent(exchange, model):
    """The recorded request, addressed to another model."""
    body = exchange.request if exchange.dialect == "google" else {**exchange.request, "model": model}
    return target(exchange.dialect, model, exchange.streaming, exchange.query), json.dumps(body)


def check_tools(said, heard, kind, dropped):
    """The same tools by name and description, with their schemas."""
    if kind == "bedrock" and not said.tools:
        # Bedrock demands a tool for each call of the history.
        assert set(heard.tools) <= set(said.names.values())
        return
    if kind == "bedrock" and said.choice == "none" and not heard.tools:
        # Bedrock has no other way to say that none may be called.
        return
    assert list(heard.tools) == list(said.tools)
    for name, (description, schema) in said.tools.items():
        told, shape = heard.tools[name]
        assert (told or "") == (description or "")
        check_schema(schema, shape, dropped)


def check_schema(schema, shape, dropped):
    """Schemas are not touched, but for what a target refuses, which is told; which properties there are is never touched."""
    if schema is None:
        # No parameters, or free text, which is called "input" where there must be some.
        assert set((shape or {}).get("properties") or {}) <= {"input"}
        return
    schema, shape = lowered(schema), lowered(shape or {})
    properties = schema.get("properties") or {}
    assert list(shape.get("properties") or {}) == list(properties)
    # A tool without parameters is given an empty object by those who demand one.
    assert shape == schema or not properties or re.search("schema|parameters", dropped, re.IGNORECASE), (schema, shape)


def closed(schema):
    """A schema without the word that objects have no members but those named."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: closed(value) for name, value in schema.items() if (name, value) != ("additionalProperties", False)}


def check_limits(said, heard, dropped):
    """What bounds the answer, or its loss is told."""
    for name, value in said.limits.items():
        if name not in heard.limits:
            assert dropped, name
        elif name == "tokens":
            # Raised where thinking needs more.
            assert heard.limits[name] >= value
        elif not dropped:
            assert heard.limits[name] == value


def spoken(heard, kind):
    """The turns without the router's own words: where no result of a tool holds an image, the next message has it."""
    if kind != "chat":
        return heard.settled()
    heard.turns = [turn for turn in heard.turns if not OUTPUT_OF.fullmatch(str(turn[2]))]
    attached = squeezed("The output is attached to the next message of the user.")
    return [(turn[0], turn[1].removesuffix(attached)) if isinstance(turn, tuple) else turn for turn in heard.settled()]


def check(said, heard, kind, dropped):
    if not said.turns:
        # Instructions alone: a provider that demands a turn gets them as one.
        said.turns, said.system = [("user", "text", "".join(said.system))], []
        heard.turns = heard.turns or [("user", "text", "".join(heard.system))]
        heard.system = []
    assert squeezed("".join(heard.system)) == squeezed("".join(said.system))
    assert spoken(heard, kind) == said.settled()
    assert sorted(heard.media) == sorted(said.media)
    check_tools(said, heard, kind, dropped)
    check_limits(said, heard, dropped)
    if said.hosted:
        assert "tools" in dropped or "web_search" in dropped, dropped
    if said.choice not in (None, "auto") and heard.tools and heard.choice != said.choice:
        assert "choice" in dropped.lower() or "mode" in dropped.lower() or "toolconfig" in dropped.lower(), dropped
    if said.schema is not None and not heard.schema:
        assert re.search("format|schema|output", dropped, re.IGNORECASE), dropped
    elif said.schema is not None:
        # Claude takes only objects that say that they have no other members.
        check_schema(closed(said.schema), closed(heard.schema), dropped)


@pytest.mark.parametrize("exchange,kind", CELLS, ids=lambda cell: getattr(cell, "id", cell))
def test_a_request_reaches_every_kind_of_provider_whole(exchange, kind, nexus, provider):
    dialect, model = PROVIDERS[kind]
    where, body = sent(exchange, f"{kind}/{model}")
    provider.put_on(answering(dialect, exchange.streaming))
    answer = nexus.ask(where, body)
    if not provider.received:
        assert answer.status == 400, answer.body
        assert NAMED.search(json.loads(answer.body)["error"]["message"]), answer.body
        return
    assert answer.status == 200, answer.body
    (received,) = provider.received
    heard = READERS[dialect](json.loads(received.body))
    check(READERS[exchange.dialect](exchange.request), heard, kind, answer.dropped)
