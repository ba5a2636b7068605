"""AWS Bedrock's Converse, whole and as a binary stream of events; requests have to be signed."""

import hashlib
import hmac
import re
import struct
import zlib
from base64 import b64decode
from json import loads
from urllib.parse import quote, unquote

from model import CACHED, INPUT, Failure, Question, Result, demand, described, halves, pieces, signature

from . import GONE, WRONG, Stream, Whole, compact, half

ROUTES = [r"/model/([^/]+)/(converse|converse-stream)$"]

# The secret access key that belongs to every access key id.
SECRET = "scripted-secret"

# A thought that nobody may read.
REDACTED = signature("bedrock", "redacted")

KINDS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
STOPS = {
    "stop": "end_turn",
    "sequence": "stop_sequence",
    "length": "max_tokens",
    "calls": "tool_use",
    "refusal": "content_filtered",
}


def answer(call, path, model):
    authenticate(call)
    demand(isinstance(call.json, dict), "Unexpected token in the request body.", 400, "SerializationException")
    demand(unquote(path[1]) != GONE, "The provided model identifier is invalid.")
    question = read(call.json)
    reply = model.reply(question)
    reply.thought = reply.thought if question.thinks else ""
    headers = {"x-amzn-requestid": "req_provider"}
    if path[2] == "converse-stream":
        frames = written(events_of(reply), reply)
        return Stream("application/vnd.amazon.eventstream", frames, headers, reply.ends == "break")
    if reply.ends == "fail":
        raise Failure(503, "Bedrock is unable to process your request.")
    return Whole(200, whole(reply), headers, reply.ends == "break")


def failure(failure, _call):
    kind = failure.code or KINDS.get(failure.status, "InternalServerException")
    name = f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return Whole(
        failure.status, {"message": failure.message}, {"x-amzn-errortype": name, "x-amzn-requestid": "req_provider"}
    )


def authenticate(call):
    """Signature Version 4, computed again."""
    form = r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/bedrock/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
    found = re.fullmatch(form, call.headers.get("authorization", ""))
    demand(found, "Missing Authentication Token", 403, "MissingAuthenticationTokenException")
    key, date, region, names, given = found.groups()
    demand(key != WRONG, "The security token included in the request is invalid.", 403, "UnrecognizedClientException")
    time = call.headers.get("x-amz-date", "")
    demand(
        time.startswith(date) and "host" in names.split(";"),
        "Signature expired or incomplete",
        403,
        "InvalidSignatureException",
    )
    headers = "".join(f"{name}:{' '.join(call.headers[name].split())}\n" for name in names.split(";"))
    digest = hashlib.sha256(call.body).hexdigest()
    asked = "\n".join([call.method, quote(call.path, safe="/-_.~"), "", headers, names, digest])
    scope = f"{date}/{region}/bedrock/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(asked.encode()).hexdigest()])
    own = ("AWS4" + SECRET).encode()
    for step in (date, region, "bedrock", "aws4_request", text):
        own = hmac.new(own, step.encode(), hashlib.sha256).digest()
    message = "The request signature we calculated does not match the signature you provided."
    demand(own.hex() == given, message, 403, "InvalidSignatureException")


def read(body):
    question = Question(system="\n".join(block["text"] for block in body.get("system") or [] if "text" in block))
    messages = body.get("messages")
    demand(
        messages,
        "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
    )
    waiting, tools_used, before = [], False, "assistant"
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        demand(
            role in ("user", "assistant") and role != before,
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
        )
        demand(
            content,
            f"The content field in the Message object at messages.{at} is empty. Add a ContentBlock object to the content field and try again.",
        )
        before = role
        for index, block in enumerate(content):
            checked(block, f"messages.{at}.content.{index}")
        results = [block["toolResult"]["toolUseId"] for block in content if "toolResult" in block]
        demand(
            sorted(results) == sorted(waiting),
            f"Expected toolResult blocks at messages.{at}.content for the following Ids: {', '.join(waiting)}",
        )
        waiting = [block["toolUse"]["toolUseId"] for block in content if "toolUse" in block]
        tools_used = tools_used or bool(waiting)
        if role == "user":
            user_turn(content, question)
    tools = (body.get("toolConfig") or {}).get("tools") or []
    demand(
        tools or not tools_used,
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    )
    demand(tools or "toolConfig" not in body, "The value at toolConfig.tools must have at least one tool.")
    wishes(body, tools, question)
    return question


def checked(block, place):
    demand(len(block) == 1, f"The ContentBlock object at {place} must set one of its members.")
    if "text" in block:
        demand(
            block["text"].strip(),
            f"The text field in the ContentBlock object at {place} is blank. Add text to the text field, and try again.",
        )
    if "toolUse" in block:
        use = block["toolUse"]
        demand(
            re.fullmatch("[a-zA-Z0-9_-]{1,64}", use.get("toolUseId", "")),
            f"Value at '{place}.toolUse.toolUseId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
        )
        demand(
            isinstance(use.get("input"), dict),
            f"The format of the value at {place}.toolUse.input is invalid. Provide a json object for the field and try again.",
        )
    if "reasoningContent" in block:
        thought = block["reasoningContent"].get("reasoningText")
        redacted = block["reasoningContent"].get("redactedContent")
        demand(thought or redacted == REDACTED, f"{place}: Invalid `data` in `redacted_thinking` block")
        demand(
            not thought or thought.get("signature") == signature("bedrock", thought["text"]),
            f"{place}: Invalid `signature` in `thinking` block",
        )


def user_turn(content, question):
    question.texts = [block["text"] for block in content if "text" in block]
    question.media = [media(block) for block in content if "image" in block or "document" in block]
    question.results = []
    for block in content:
        if "toolResult" in block:
            words = [
                part["text"] if "text" in part else compact(part["json"]) if "json" in part else media(part)
                for part in block["toolResult"]["content"]
            ]
            question.results.append(Result(" ".join(words), block["toolResult"].get("status") == "error"))


def media(block):
    kind, inner = next(iter(block.items()))
    data = b64decode(inner["source"]["bytes"])
    return described(f"{'application' if inner['format'] == 'pdf' else kind}/{inner['format']}", data)


def wishes(body, tools, question):
    for tool in tools:
        if spec := tool.get("toolSpec"):
            demand(
                re.fullmatch("[a-zA-Z0-9_-]{1,64}", spec.get("name", "")),
                "Value at 'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint",
            )
            demand(
                spec["inputSchema"]["json"].get("type") == "object",
                "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
            )
            question.tools[spec["name"]] = spec["inputSchema"]["json"]
    choice = (body.get("toolConfig") or {}).get("toolChoice") or {"auto": {}}
    question.choice = "required" if "any" in choice else choice["tool"]["name"] if "tool" in choice else "auto"
    more = body.get("additionalModelRequestFields") or {}
    config = body.get("inferenceConfig") or {}
    asked = more.get("thinking") or {"type": "disabled"}
    question.thinks = asked["type"] != "disabled"
    if asked["type"] == "enabled":
        demand(
            asked.get("budget_tokens", 0) >= 1024,
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        )
        demand(
            asked["budget_tokens"] < config.get("maxTokens", 4096),
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        )
        demand(question.choice == "auto", "Thinking may not be enabled when tool_choice forces tool use.")
    if question.thinks and question.results:
        turn = [message for message in body["messages"] if message["role"] == "assistant"][-1]
        demand(
            "reasoningContent" in turn["content"][0],
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
        )
    if wanted := (body.get("outputConfig") or {}).get("textFormat"):
        question.schema = loads(wanted["structure"]["jsonSchema"]["schema"])
    question.stops = config.get("stopSequences") or []


def blocks_of(reply):
    if reply.thought:
        signed = {"text": reply.thought, "signature": signature("bedrock", reply.thought)}
        yield {"reasoningContent": {"reasoningText": signed}}
        yield {"reasoningContent": {"redactedContent": REDACTED}}
    if reply.text:
        yield {"text": reply.text}
    for at, (name, arguments) in enumerate(reply.calls):
        made = re.sub("[^a-zA-Z0-9]", "", signature("tooluse", at, name, arguments))[-22:]
        yield {"toolUse": {"toolUseId": f"tooluse_{made}", "name": name, "input": arguments}}


def usage_of(reply):
    counts = {"cacheReadInputTokens": CACHED, "cacheReadInputTokenCount": CACHED}
    counts |= {"cacheWriteInputTokens": 0, "cacheWriteInputTokenCount": 0}
    total = {"inputTokens": INPUT - CACHED, "outputTokens": reply.output, "totalTokens": INPUT + reply.output}
    return {**total, **counts, "serverToolUsage": {}}


def whole(reply):
    return {
        "metrics": {"latencyMs": 12},
        "output": {"message": {"content": list(blocks_of(reply)), "role": "assistant"}},
        "stopReason": STOPS[reply.stop],
        "usage": usage_of(reply),
    }


def events_of(reply):
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(blocks_of(reply)):
        if "toolUse" in block:
            start = {name: block["toolUse"][name] for name in ("name", "toolUseId")}
            yield "contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": start}}
        for delta in deltas(block, reply):
            yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}
        if reply.ends:
            return
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": STOPS[reply.stop]}
    yield "metadata", {"metrics": {"latencyMs": 12}, "usage": usage_of(reply)}


def deltas(block, reply):
    if "reasoningContent" in block:
        if "redactedContent" in block["reasoningContent"]:
            yield block
            return
        thought = block["reasoningContent"]["reasoningText"]
        yield from ({"reasoningContent": {"text": word}} for word in pieces(thought["text"]))
        yield {"reasoningContent": {"signature": thought["signature"]}}
    elif "text" in block:
        yield {"text": ""}
        yield from ({"text": word} for word in half(reply.words(), reply))
    else:
        yield {"toolUse": {"input": ""}}
        given = block["toolUse"]["input"]
        yield from ({"toolUse": {"input": piece}} for piece in halves(compact(given) if given else ""))


def written(events, reply):
    for name, payload in events:
        padded = {**payload, "p": "abcdefghijklmnop"}
        yield frame({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, padded)
    if reply.ends == "fail":
        names = {":exception-type": "serviceUnavailableException", ":content-type": "application/json"}
        yield frame({**names, ":message-type": "exception"}, {"message": "Bedrock is unable to process your request."})


def frame(headers, payload):
    """One message of AWS's event stream encoding: lengths, headers of strings (type 7), payload, two CRCs."""
    block = b""
    for name, value in headers.items():
        block += struct.pack(f">B{len(name)}sBH", len(name), name.encode(), 7, len(value)) + value.encode()
    data = compact(payload).encode()
    prelude = struct.pack(">II", 16 + len(block) + len(data), len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + data
    return message + struct.pack(">I", zlib.crc32(message))
