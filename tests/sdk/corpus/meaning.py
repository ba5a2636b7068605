"""What an answer means, read from each dialect on its own: the oracle of the tests across protocols.

Written from counted facts about the wire formats and from their vendors' documents, not from the router's code. Usage is told
in OpenAI's arithmetic: input with what was cached, output with what was thought.
"""

import json
import re
from dataclasses import dataclass, field

from replay import frames

STOPS = {
    "openai-chat": {"stop": "stop", "length": "length", "content_filter": "filter"},
    "anthropic": {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "refusal": "filter",
    },
    "google": {"STOP": "stop", "MAX_TOKENS": "length"},
    "bedrock": {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "guardrail_intervened": "filter",
        "content_filtered": "filter",
    },
}

# Google's many words for an answer that was held back.
FILTERED = {
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MODEL_ARMOR",
    "LANGUAGE",
    "IMAGE_SAFETY",
}


@dataclass
class Meaning:
    """An answer, whatever it was written in."""

    text: str = ""
    reasoning: str = ""
    calls: list = field(default_factory=list)
    stop: str = "stop"
    usage: dict | None = None
    error: str | None = None
    refused: bool = False

    def call(self, name, arguments):
        """Adds a call; arguments that are no object are kept apart from those that are."""
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments) if arguments.strip() else {}
            except ValueError:
                arguments = {"input": arguments}
        if not isinstance(arguments, dict):
            arguments = {"value": arguments}
        self.calls.append((name, arguments))

    def ended(self, word, dialect):
        """Notes why it ended. Calls are told by their presence, whatever the word."""
        words = STOPS[dialect]
        self.stop = "filter" if dialect == "google" and word in FILTERED else words.get(word, "stop")

    def used(self, **counts):
        self.usage = {name: count or 0 for name, count in counts.items()}

    def done(self):
        if self.calls:
            self.stop = "calls"
        return self


def sse(body):
    """Name and data of the events of a stream."""
    found = []
    for block in re.split(r"\r\n\r\n|\n\n|\r\r", body.decode()):
        lines = re.split(r"\r\n|\n|\r", block)
        data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
        name = next((line[6:].strip() for line in lines if line.startswith("event:")), None)
        if data and "\n".join(data).strip() != "[DONE]":
            found.append((name, json.loads("\n".join(data))))
    return found


def documents(dialect, streamed, content_type, body):
    """The pieces of an answer: events, frames or elements of a stream; a whole answer is one."""
    if not streamed:
        return [(None, json.loads(body))]
    if dialect == "bedrock":
        return [(name, json.loads(payload)) for name, payload in frames(body)]
    if content_type.startswith("application/json"):
        return [(None, item) for item in json.loads(body)]
    return sse(body)


def read(dialect, streamed, content_type, body):
    """What an answer means."""
    reader = {
        "openai-chat": Chat,
        "openai-responses": Responses,
        "anthropic": Messages,
        "google": Gemini,
        "bedrock": Converse,
    }
    return reader[dialect]().read(documents(dialect, streamed, content_type, body), streamed).done()


class Chat:
    """OpenAI's chat completions: the first choice, a stream's deltas keyed by the tool's index."""

    def __init__(self):
        self.meaning, self.calls, self.legacy = Meaning(), {}, {"name": "", "arguments": ""}

    def read(self, documents, _):
        for name, document in documents:
            if document.get("error") or name == "error":
                self.meaning.error = json.dumps(document)
            for choice in document.get("choices") or []:
                if choice.get("index", 0) == 0:
                    self.choice(choice)
            usage = document.get("usage") or (document.get("x_groq") or {}).get("usage")
            if usage:
                self.usage(usage)
        for call in self.calls.values():
            self.meaning.call(call["name"], call["arguments"])
        if self.legacy["name"]:
            self.meaning.call(self.legacy["name"], self.legacy["arguments"])
        return self.meaning

    def choice(self, choice):
        # Some send both in each chunk, or an empty one of them.
        message = choice.get("delta") or choice.get("message") or {}
        content = message.get("content") or ""
        for part in [content] if isinstance(content, str) else content:
            if isinstance(part, str):
                self.meaning.text += part
            elif part["type"] == "thinking":
                thought = part["thinking"]
                self.meaning.reasoning += thought if isinstance(thought, str) else "".join(p["text"] for p in thought)
            else:
                self.meaning.text += part.get("text", "")
        self.meaning.text += message.get("refusal") or ""
        self.meaning.refused |= bool(message.get("refusal"))
        self.meaning.reasoning += message.get("reasoning_content") or message.get("reasoning") or ""
        for at, call in enumerate(message.get("tool_calls") or []):
            self.tool(call, call.get("index") if call.get("index") is not None else f"whole {len(self.calls) + at}")
        for name, piece in (message.get("function_call") or {}).items():
            self.legacy[name] += piece or ""
        if choice.get("finish_reason"):
            self.meaning.ended(choice["finish_reason"], "openai-chat")

    def tool(self, call, index):
        function = call.get("function") or {}
        custom = call.get("custom") or {}
        known = self.calls.setdefault(index, {"name": "", "arguments": ""})
        known["name"] = known["name"] or function.get("name") or custom.get("name") or ""
        arguments = function.get("arguments") or custom.get("input") or ""
        known["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def usage(self, usage):
        prompt = usage.get("prompt_tokens_details") or {}
        completion = usage.get("completion_tokens_details") or {}
        self.meaning.used(
            input=usage.get("prompt_tokens"),
            output=usage.get("completion_tokens"),
            cached=prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens"),
            written=prompt.get("cache_write_tokens"),
            reasoning=completion.get("reasoning_tokens"),
        )


class Responses:
    """OpenAI's Responses: a stream is read by its deltas and checked against the whole that it ends in."""

    def read(self, documents, streamed):
        if not streamed:
            return self.whole(documents[0][1])
        text, final, error, number = "", None, None, -1
        for name, event in documents:
            assert name == event["type"], (name, event)
            assert event["sequence_number"] == number + 1, event
            number += 1
            if name in ("response.output_text.delta", "response.refusal.delta"):
                text += event["delta"]
            elif name in ("response.completed", "response.incomplete", "response.failed"):
                final = event["response"]
            elif name == "error":
                error = json.dumps(event)
        if error or final["status"] == "failed":
            return Meaning(text=text, error=error or json.dumps(final["error"]))
        meaning = self.whole(final)
        assert meaning.text == text, "deltas and whole differ"
        return meaning

    def whole(self, response):
        meaning = Meaning()
        for item in response["output"]:
            if item["type"] == "message":
                meaning.text += "".join(part.get("text") or part.get("refusal") or "" for part in item["content"])
            elif item["type"] == "reasoning":
                shown = (item.get("summary") or []) + (item.get("content") or [])
                meaning.reasoning += "".join(part["text"] for part in shown)
            elif item["type"] == "function_call":
                meaning.call(item["name"], item["arguments"])
            elif item["type"] == "custom_tool_call":
                meaning.call(item["name"], {"input": item["input"]})
        reason = (response.get("incomplete_details") or {}).get("reason")
        meaning.stop = {"max_output_tokens": "length", "content_filter": "filter"}.get(reason, "stop")
        if usage := response.get("usage"):
            details = usage.get("input_tokens_details") or {}
            meaning.used(
                input=usage["input_tokens"],
                output=usage["output_tokens"],
                cached=details.get("cached_tokens"),
                written=details.get("cache_write_tokens"),
                reasoning=(usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
            )
        return meaning


class Messages:
    """Anthropic's messages: blocks one after the other, usage merged with the later word winning."""

    def read(self, documents, streamed):
        meaning = Meaning()
        if not streamed:
            message = documents[0][1]
            for block in message["content"]:
                self.block(meaning, block, block.get("input"))
            meaning.ended(message["stop_reason"], "anthropic")
            self.usage(meaning, message["usage"])
            return meaning
        usage, block, pieces, at = {}, None, "", -1
        for name, event in documents:
            assert name == event["type"]
            if name == "message_start":
                usage.update(event["message"]["usage"])
            elif name == "content_block_start":
                assert block is None and event["index"] == at + 1, "blocks are one after the other"
                block, pieces, at = event["content_block"], "", event["index"]
            elif name == "content_block_delta":
                assert event["index"] == at and block is not None
                delta = event["delta"]
                pieces += delta.get("partial_json") or ""
                block = {
                    **block,
                    "text": (block.get("text") or "") + (delta.get("text") or ""),
                    "thinking": (block.get("thinking") or "") + (delta.get("thinking") or ""),
                }
            elif name == "content_block_stop":
                assert event["index"] == at and block is not None
                self.block(meaning, block, pieces or block.get("input"))
                block = None
            elif name == "message_delta":
                usage.update({name: count for name, count in event["usage"].items() if count is not None})
                meaning.ended(event["delta"]["stop_reason"], "anthropic")
            elif name == "error":
                meaning.error = json.dumps(event)
                meaning.text += (block or {}).get("text") or ""
        assert meaning.error or name == "message_stop" and block is None, "the stream has no end"
        if not meaning.error:
            self.usage(meaning, usage)
        return meaning

    def block(self, meaning, block, arguments):
        if block["type"] == "text":
            meaning.text += block["text"]
        elif block["type"] == "thinking":
            meaning.reasoning += block["thinking"]
        elif block["type"] == "tool_use":
            meaning.call(block["name"], arguments)

    def usage(self, meaning, usage):
        cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
        meaning.used(
            input=usage["input_tokens"] + cached + written,
            output=usage["output_tokens"],
            cached=cached,
            written=written,
            reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        )


class Gemini:
    """Google's answers: the first candidate; each chunk of a stream is a whole one, its usage cumulative."""

    def read(self, documents, _):
        meaning, reason = Meaning(), None
        for _, document in documents:
            if "error" in document:
                meaning.error = json.dumps(document)
            if (document.get("promptFeedback") or {}).get("blockReason"):
                reason = "SAFETY"
            for candidate in document.get("candidates") or []:
                if candidate.get("index", 0) == 0:
                    for part in (candidate.get("content") or {}).get("parts") or []:
                        self.part(meaning, part)
                    reason = candidate.get("finishReason") or reason
            if usage := document.get("usageMetadata"):
                self.usage(meaning, usage)
        assert reason or meaning.error, "the stream has no end"
        meaning.ended(reason, "google")
        return meaning

    def part(self, meaning, part):
        if "functionCall" in part:
            meaning.call(part["functionCall"]["name"], part["functionCall"].get("args") or {})
        elif part.get("thought"):
            meaning.reasoning += part.get("text") or ""
        else:
            meaning.text += part.get("text") or ""

    def usage(self, meaning, usage):
        thoughts = usage.get("thoughtsTokenCount") or 0
        meaning.used(
            input=(usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0),
            output=(usage.get("candidatesTokenCount") or 0) + thoughts,
            cached=usage.get("cachedContentTokenCount"),
            written=0,
            reasoning=thoughts,
        )


class Converse:
    """Bedrock's answers: blocks keyed by their index, usage behind the stop reason."""

    def read(self, documents, streamed):
        meaning = Meaning()
        if not streamed:
            answer = documents[0][1]
            for block in answer["output"]["message"]["content"]:
                self.block(meaning, block)
            meaning.ended(answer["stopReason"], "bedrock")
            self.usage(meaning, answer["usage"])
            return meaning
        blocks = {}
        for name, event in documents:
            if name == "contentBlockStart":
                blocks[event["contentBlockIndex"]] = dict(event["start"])
                if "toolUse" in event["start"]:
                    blocks[event["contentBlockIndex"]]["toolUse"] = {**event["start"]["toolUse"], "input": ""}
            elif name == "contentBlockDelta":
                self.delta(blocks.setdefault(event["contentBlockIndex"], {}), event["delta"])
            elif name == "messageStop":
                meaning.ended(event["stopReason"], "bedrock")
            elif name == "metadata":
                self.usage(meaning, event["usage"])
        for _, block in sorted(blocks.items()):
            self.block(meaning, block)
        return meaning

    def delta(self, block, delta):
        if "text" in delta:
            block["text"] = block.get("text", "") + delta["text"]
        if "toolUse" in delta:
            block["toolUse"]["input"] += delta["toolUse"]["input"]
        if "text" in (delta.get("reasoningContent") or {}):
            text = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
            text["text"] += delta["reasoningContent"]["text"]

    def block(self, meaning, block):
        meaning.text += block.get("text", "")
        cited = (block.get("citationsContent") or {}).get("content") or []
        meaning.text += "".join(part.get("text", "") for part in cited)
        thought = (block.get("reasoningContent") or {}).get("reasoningText") or {}
        meaning.reasoning += thought.get("text") or ""
        # A call of the provider's own tool is not the client's to answer: its result stands beside it.
        if "toolUse" in block and block["toolUse"].get("type") != "server_tool_use":
            meaning.call(block["toolUse"]["name"], block["toolUse"]["input"])

    def usage(self, meaning, usage):
        cached, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
        meaning.used(
            input=usage["inputTokens"] + cached + written,
            output=usage["outputTokens"],
            cached=cached,
            written=written,
            reasoning=0,
        )
