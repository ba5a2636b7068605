"""Anthropic's messages and its count of tokens."""

import re
from base64 import b64decode

from model import CACHED, COUNTED, INPUT, Failure, Question, Result, demand, described, halves, pieces, signature

from . import GONE, WRONG, Stream, Whole, compact, half

ROUTES = [r"/messages$", r"/messages/(count_tokens)$"]

KNOWN = set(
    """cache_control container context_management max_tokens mcp_servers messages metadata model output_config
    output_format service_tier stop_sequences stream system temperature thinking tool_choice tools top_k top_p""".split()
)

# A thought that nobody may read.
REDACTED = signature("anthropic", "redacted")

# Members of the blocks of a request; the real one refuses any other.
BLOCKS = {
    "text": {"type", "text", "cache_control", "citations"},
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "cache_control", "citations", "title", "context"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
}

KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
STOPS = {
    "stop": "end_turn",
    "sequence": "stop_sequence",
    "length": "max_tokens",
    "calls": "tool_use",
    "refusal": "refusal",
}


def answer(call, path, model):
    body = call.json
    key = call.headers.get("x-api-key") or call.bearer()
    demand(key and key != WRONG, "invalid x-api-key", 401)
    demand("anthropic-version" in call.headers, "anthropic-version: header is required")
    demand(isinstance(body, dict), "The request body is not valid JSON.")
    demand(isinstance(body.get("model"), str), "model: Field required")
    demand(body["model"] != GONE, f"model: {body['model']}", 404)
    counts = path.lastindex == 1
    strange = sorted(set(body) - (KNOWN - {"max_tokens", "stream", "temperature"} if counts else KNOWN))
    demand(not strange, f"{strange and strange[0]}: Extra inputs are not permitted")
    question = read(body)
    if counts:
        return Whole(200, {"input_tokens": COUNTED}, headers())
    demand(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: Field required")
    thinking(body, question)
    reply = model.reply(question)
    reply.thought = reply.thought if question.thinks else ""
    if body.get("stream"):
        events = written(events_of(reply, body["model"]), reply)
        return Stream("text/event-stream; charset=utf-8", events, headers(), reply.ends == "break")
    if reply.ends == "fail":
        raise Failure(529, "Overloaded")
    return Whole(200, whole(reply, body["model"]), headers(), reply.ends == "break")


def headers():
    return {"request-id": "req_provider", "anthropic-ratelimit-requests-reset": "2026-04-05T14:28:43Z"}


def failure(failure, _call):
    error = {"type": KINDS.get(failure.status, "invalid_request_error"), "message": failure.message}
    body = {"type": "error", "error": error, "request_id": "req_provider"}
    return Whole(failure.status, body, {"request-id": "req_provider", "x-should-retry": "false", **failure.wait})


def read(body):
    question = Question(system="\n".join(system(body.get("system") or [])))
    messages = body.get("messages")
    demand(isinstance(messages, list) and messages, "messages: at least one message is required")
    waiting = []
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        demand(role in ("user", "assistant"), f"messages.{at}.role: Input should be 'user' or 'assistant'")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        demand(isinstance(blocks, list) and blocks, f"messages.{at}: all messages must have non-empty content")
        question.results = []
        if role == "user":
            question.texts, question.media = [], []
        for index, block in enumerate(blocks):
            checked(block, f"messages.{at}.content.{index}")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if role == "user":
            missing = [identity for identity in waiting if identity not in results]
            demand(
                not missing,
                f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
            )
            strange = [identity for identity in results if identity not in waiting]
            demand(
                not strange,
                f"messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(strange)}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
            )
            first_text = next(
                (index for index, block in enumerate(blocks) if block["type"] != "tool_result"), len(blocks)
            )
            demand(first_text >= len(results), f"messages.{at}: `tool_result` blocks must come first")
            for block in blocks:
                user_block(block, question)
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        demand(len(set(waiting)) == len(waiting), f"messages.{at}: `tool_use` ids must be unique")
    demand(messages[0]["role"] == "user", 'messages: first message must use the "user" role')
    wishes(body, question)
    return question


def system(given):
    blocks = [{"type": "text", "text": given}] if isinstance(given, str) else given
    for at, block in enumerate(blocks):
        checked(block, f"system.{at}")
        yield block["text"]


def checked(block, place):
    kind = block.get("type")
    demand(kind in BLOCKS, f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    strange = sorted(set(block) - BLOCKS[kind])
    demand(not strange, f"{place}.{kind}.{strange and strange[0]}: Extra inputs are not permitted")
    if kind == "text":
        demand(block.get("text", "").strip(), f"{place}: text content blocks must contain non-whitespace text")
    elif kind == "thinking":
        own = signature("anthropic", block.get("thinking"))
        demand(block.get("signature") == own, f"{place}: Invalid `signature` in `thinking` block")
    elif kind == "redacted_thinking":
        demand(block.get("data") == REDACTED, f"{place}: Invalid `data` in `redacted_thinking` block")
    elif kind == "tool_use":
        demand(
            re.fullmatch("[a-zA-Z0-9_-]+", block.get("id", "")),
            f"{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
        )
        demand(isinstance(block.get("input"), dict), f"{place}.tool_use.input: Input should be a valid dictionary")
    elif kind in ("image", "document"):
        types = ("base64", "url", "text", "file")
        demand(
            block.get("source", {}).get("type") in types,
            f"{place}.{kind}.source: Input tag does not match any of the expected tags",
        )


def user_block(block, question):
    if block["type"] == "text":
        question.texts.append(block["text"])
    elif block["type"] == "tool_result":
        question.results.append(Result(result_text(block.get("content") or [], question), block.get("is_error", False)))
    elif block["source"]["type"] == "base64":
        question.media.append(described(block["source"]["media_type"], b64decode(block["source"]["data"])))
    else:
        question.media.append(block["source"].get("url") or block["source"].get("data", ""))


def result_text(content, question):
    if isinstance(content, str):
        return content
    texts = []
    for block in content:
        checked(block, "tool_result")
        if block["type"] == "text":
            texts.append(block["text"])
        else:
            texts.append(described(block["source"]["media_type"], b64decode(block["source"]["data"])))
    return " ".join(texts)


def wishes(body, question):
    for at, tool in enumerate(body.get("tools") or []):
        demand(
            re.fullmatch("[a-zA-Z0-9_-]{1,128}", tool.get("name", "")),
            f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'",
        )
        if tool.get("type", "custom") == "custom":
            demand(
                tool.get("input_schema", {}).get("type") == "object",
                f"tools.{at}.custom.input_schema.type: Field required",
            )
            question.tools[tool["name"]] = tool["input_schema"]
    choice = body.get("tool_choice") or {"type": "auto"}
    demand(
        question.tools or "tool_choice" not in body,
        "tool_choice: `tool_choice` may only be specified while providing `tools`.",
    )
    question.choice = {"any": "required", "tool": choice.get("name")}.get(choice["type"], choice["type"])
    question.parallel = not choice.get("disable_parallel_tool_use", False)
    used = any(
        block["type"] in ("tool_use", "tool_result")
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    )
    demand(question.tools or not used, "Requests which include `tool_use` or `tool_result` blocks must define tools")
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if wanted:
        demand(wanted.get("type") == "json_schema", "output_config.format.type: Input should be 'json_schema'")
        closed(wanted["schema"], wanted["schema"])
        question.schema = wanted["schema"]
    question.stops = body.get("stop_sequences") or []


def closed(schema, root):
    """Structured outputs want every object closed."""
    for inner in [schema, *schema.get("$defs", {}).values(), *schema.get("properties", {}).values()]:
        if inner.get("type") == "object":
            demand(
                inner.get("additionalProperties") is False,
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
            )


def thinking(body, question):
    """What is asked along with thinking has to fit it, and the turn of a tool begins with its thoughts."""
    asked = body.get("thinking") or {"type": "disabled"}
    question.thinks = asked["type"] in ("enabled", "adaptive")
    temperature = body.get("temperature")
    demand(temperature is None or 0 <= temperature <= 1, "temperature: range: 0..1")
    if not question.thinks:
        return
    if asked["type"] == "enabled":
        budget = asked.get("budget_tokens", 0)
        demand(budget >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        demand(budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`.")
    demand(temperature in (None, 1), "`temperature` may only be set to 1 when thinking is enabled.")
    demand(body.get("top_k") is None, "`top_k` must be unset when thinking is enabled.")
    demand(question.choice in ("auto", "none"), "Thinking may not be enabled when tool_choice forces tool use.")
    last = [message for message in body["messages"] if message["role"] == "assistant"][-1:]
    for message in last if question.results else []:
        first = message["content"][0]["type"]
        demand(
            first in ("thinking", "redacted_thinking"),
            f"messages.{len(body['messages']) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block.",
        )


def blocks_of(reply):
    if reply.thought:
        yield {"type": "thinking", "thinking": reply.thought, "signature": signature("anthropic", reply.thought)}
        yield {"type": "redacted_thinking", "data": REDACTED}
    if reply.text:
        yield {"type": "text", "text": reply.text}
    for at, (name, arguments) in enumerate(reply.calls):
        made = re.sub("[^a-zA-Z0-9]", "", signature("toolu", at, name, arguments))[-22:]
        yield {
            "type": "tool_use",
            "id": f"toolu_01{made}",
            "name": name,
            "input": arguments,
            "caller": {"type": "direct"},
        }


def usage_of(output, reasoning=0):
    return {
        "input_tokens": INPUT - CACHED,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": CACHED,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": reasoning},
        "service_tier": "standard",
    }


def whole(reply, model):
    return {
        "model": model,
        "id": "msg_01" + "S" * 22,
        "type": "message",
        "role": "assistant",
        "content": list(blocks_of(reply)),
        "stop_reason": STOPS[reply.stop],
        "stop_sequence": reply.sequence,
        "stop_details": None,
        "usage": usage_of(reply.output, reply.reasoning),
    }


def events_of(reply, model):
    started = {**whole(reply, model), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage_of(1)}
    yield {"type": "message_start", "message": started}
    for index, block in enumerate(blocks_of(reply)):
        empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
        yield {"type": "content_block_start", "index": index, "content_block": block | empty.get(block["type"], {})}
        if index == 0:
            yield {"type": "ping"}
        for delta in deltas(block, reply):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        if reply.ends:
            return
        yield {"type": "content_block_stop", "index": index}
    stopped = {"stop_reason": STOPS[reply.stop], "stop_sequence": reply.sequence, "stop_details": None}
    usage = usage_of(reply.output, reply.reasoning)
    usage = {name: count for name, count in usage.items() if name not in ("cache_creation", "service_tier")}
    yield {"type": "message_delta", "delta": stopped, "usage": usage}
    yield {"type": "message_stop"}


def deltas(block, reply):
    if block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": word} for word in pieces(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        yield from ({"type": "text_delta", "text": word} for word in half(reply.words(), reply))
    elif block["type"] == "tool_use":
        yield {"type": "input_json_delta", "partial_json": ""}
        if block["input"]:
            yield from (
                {"type": "input_json_delta", "partial_json": piece} for piece in halves(compact(block["input"]))
            )


def written(events, reply):
    for event in events:
        padded = compact(event)[:-1] + ("}" if event["type"] == "ping" else "     }")
        yield f"event: {event['type']}\ndata: {padded}\n\n"
    if reply.ends == "fail":
        error = {"type": "error", "error": {"details": None, "type": "overloaded_error", "message": "Overloaded"}}
        yield f"event: error\ndata: {compact(error)}\n\n"
