"""Google's Gemini API, and Vertex AI at its longer paths."""

import json
import re
from base64 import b64decode, urlsafe_b64decode

from model import CACHED, COUNTED, INPUT, Failure, Question, Result, demand, described, signature

from . import GONE, WRONG, Stream, Whole, compact, half

VERBS = "generateContent|streamGenerateContent|countTokens|batchEmbedContents|embedContent"
ROUTES = [rf"/(models/[^/]+):({VERBS})$"]

# What stands for a signature that another maker's call cannot have.
SKIP = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="

KNOWN = {
    "": """contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent labels serviceTier
        store""",
    "generation_config": """candidateCount maxOutputTokens temperature topP topK stopSequences responseMimeType
        responseSchema responseJsonSchema thinkingConfig seed presencePenalty frequencyPenalty responseLogprobs logprobs
        responseModalities speechConfig mediaResolution enableEnhancedCivicAnswers audioTimestamp""",
    "contents[]": "role parts",
    "contents[].parts[]": """text thought thoughtSignature functionCall functionResponse inlineData fileData
        executableCode codeExecutionResult videoMetadata mediaResolution""",
    "tools[]": "functionDeclarations googleSearch codeExecution urlContext googleSearchRetrieval",
    "tools[].function_declarations[]": "name description parameters parametersJsonSchema response responseJsonSchema behavior",
}

SCHEMA = set(
    """type format title description nullable enum maxItems minItems properties required minProperties maxProperties
    minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum""".split()
)

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
FINISH = {"stop": "STOP", "sequence": "STOP", "length": "MAX_TOKENS", "calls": "STOP", "refusal": "SAFETY"}


def answer(call, path, model):
    name, verb = path[1].replace("%2F", "/"), path[2]
    key = call.headers.get("x-goog-api-key") or call.query.get("key") or call.bearer()
    demand(key, "Method doesn't allow unregistered callers (callers without established identity).", 403)
    demand(key != WRONG, "API key not valid. Please pass a valid API key.", 400, "API_KEY_INVALID")
    demand(isinstance(call.json, dict), "Invalid JSON payload received.")
    demand(not name.endswith(GONE), f"{name} is not found for API version v1beta, or is not supported for {verb}.", 404)
    if verb == "batchEmbedContents":
        return embedded(call.json, name)
    if verb == "embedContent":
        return Whole(200, {"embedding": {"values": vector_of(call.json)}})
    body = camel(call.json)
    if verb == "countTokens":
        read(body.get("generateContentRequest", {"model": name}) | body)
        return Whole(
            200, {"totalTokens": COUNTED, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": COUNTED}]}
        )
    body.pop("model", None)
    known(body, "")
    reply = model.reply(read(body))
    if verb == "generateContent":
        if reply.ends == "fail":
            raise Failure(503, "The model is overloaded. Please try again later.")
        return Whole(200, next(chunks(reply, name, whole=True)), breaks=reply.ends == "break")
    events = list(chunks(reply, name))
    if reply.ends == "fail":
        events.append(error(Failure(503, "The model is overloaded. Please try again later.")))
    if call.query.get("alt") == "sse":
        written = (f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in events)
        return Stream("text/event-stream", written, breaks=reply.ends == "break")
    return Stream("application/json; charset=UTF-8", array(events, reply), breaks=reply.ends == "break")


def array(events, reply):
    for at, event in enumerate(events):
        yield ("[" if at == 0 else ",\r\n") + json.dumps(event, ensure_ascii=False, indent=2)
    if reply.ends != "break":
        yield "]"


def failure(failure, _call):
    return Whole(failure.status, error(failure), {"content-type": "application/json; charset=UTF-8"})


def error(failure):
    """A delay stands in the details, not in a header."""
    status = STATUSES.get(failure.status, "INTERNAL" if failure.status >= 500 else "FAILED_PRECONDITION")
    error = {"code": failure.status, "message": failure.message, "status": status}
    if failure.code:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": failure.code, "domain": "googleapis.com"}
        error["details"] = [info]
    elif failure.wait:
        delay = f"{failure.wait['retry-after']}s"
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    return {"error": error}


def camel(
    value, free=("args", "response", "properties", "parametersJsonSchema", "responseJsonSchema", "$defs", "default")
):
    """Both spellings are understood; what is the caller's own keeps its names."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    spelled = {re.sub("_([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name in free else camel(inner) for name, inner in spelled.items()}


def known(given, place):
    strange = sorted(set(given) - set(KNOWN[place].split()))
    where = f" at '{place}'" if place else ""
    demand(
        not strange,
        f'Invalid JSON payload received. Unknown name "{strange and strange[0]}"{where}: Cannot find field.',
    )


def read(body):
    question = Question()
    for part in (body.get("systemInstruction") or {}).get("parts", []):
        question.system = "\n".join(filter(None, [question.system, part.get("text")]))
    contents = body.get("contents")
    demand(contents, "* GenerateContentRequest.contents: contents is not specified")
    calls, turns = [], []
    for content in contents:
        known(content, "contents[]")
        role, parts = content.get("role", "user"), content.get("parts") or []
        demand(role in ("user", "model"), "Please use a valid role: user, model.")
        demand(parts, "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.")
        for part in parts:
            known(part, "contents[].parts[]")
        question.results = []
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        demand(
            not calls or [call["name"] for call in calls] == [answer.get("name") for answer in answers],
            "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
        )
        demand(
            calls or not answers,
            "Please ensure that function response turn comes immediately after a function call turn.",
        )
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        if role == "user":
            user_turn(parts, answers, question)
            turns = turns if answers else []
        elif calls:
            turns.append(next(part for part in parts if "functionCall" in part))
    for first in turns:
        signed(first)
    wishes(body, question)
    return question


def signed(part):
    """The first call of each step of the present turn carries its signature."""
    given, call = part.get("thoughtSignature"), part["functionCall"]
    demand(
        given,
        f"Function call is missing a thought_signature in functionCall parts. Function call `default_api:{call['name']}`, position 1.",
    )
    own = signature("google", call["name"], call.get("args") or {})
    demand(decoded(given) in (b64decode(own), b64decode(SKIP)), "Corrupted thought signature.")


def decoded(text):
    """Bytes in JSON: both alphabets of Base64 are understood, with and without padding; Google's SDK uses the other."""
    demand(re.fullmatch("[A-Za-z0-9+/_-]*=*", text), "Invalid value (bytes): Base64 decoding failed")
    text = text.rstrip("=").replace("+", "-").replace("/", "_")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def user_turn(parts, answers, question):
    if not answers:
        question.texts, question.media = [], []
    for part in parts:
        if "text" in part:
            question.texts.append(part["text"])
        elif "inlineData" in part:
            question.media.append(described(part["inlineData"]["mimeType"], decoded(part["inlineData"]["data"])))
        elif "fileData" in part:
            question.media.append(part["fileData"]["fileUri"])
    for answer in answers:
        given = answer.get("response")
        demand(isinstance(given, dict), "Invalid value at 'contents[].parts[].function_response.response'")
        only = next(iter(given.values())) if len(given) == 1 else given
        words = [only if isinstance(only, str) else compact(only)]
        for part in answer.get("parts") or []:
            words.append(described(part["inlineData"]["mimeType"], decoded(part["inlineData"]["data"])))
        question.results.append(Result(" ".join(words), "error" in given))


def wishes(body, question):
    config = body.get("generationConfig") or {}
    known(config, "generation_config")
    tools = body.get("tools") or []
    for tool in [tools] if isinstance(tools, dict) else tools:
        known(tool, "tools[]")
        for function in tool.get("functionDeclarations") or []:
            known(function, "tools[].function_declarations[]")
            if "parameters" in function:
                closed(function["parameters"])
            schema = function.get("parameters") or function.get("parametersJsonSchema") or {"type": "object"}
            question.tools[function["name"]] = schema
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    names = calling.get("allowedFunctionNames") or [None]
    mode = calling.get("mode", "AUTO").upper()
    question.choice = {"NONE": "none", "ANY": names[0] or "required"}.get(mode, "auto")
    question.schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if "responseSchema" in config:
        closed(config["responseSchema"])
    json_asked = config.get("responseMimeType") == "application/json"
    demand(json_asked or not question.schema, "Response schema requires response_mime_type application/json.")
    question.schema = question.schema or ({"type": "object"} if json_asked else None)
    question.stops = config.get("stopSequences") or []
    thinking = config.get("thinkingConfig") or {}
    question.thinks = thinking.get("includeThoughts", False)


def closed(schema):
    """Google's own schema knows some words only."""
    strange = sorted(set(schema) - SCHEMA)
    demand(
        not strange,
        f"Invalid JSON payload received. Unknown name \"{strange and strange[0]}\" at 'parameters': Cannot find field.",
    )
    for inner in [*(schema.get("properties") or {}).values(), *([schema["items"]] if "items" in schema else [])]:
        closed(camel(inner))


def parts_of(reply, whole):
    if reply.thought:
        yield {"text": reply.thought, "thought": True}
    words = [reply.text] if whole else half(reply.words(), reply)
    for word in words if reply.text and reply.stop != "refusal" else []:
        yield {"text": word}
    for at, (name, arguments) in enumerate(reply.calls):
        part = {"functionCall": {"name": name, "args": arguments}}
        yield part | ({"thoughtSignature": signature("google", name, arguments)} if at == 0 else {})
    if reply.thought and reply.text and not reply.ends:
        yield {"text": "", "thoughtSignature": signature("google", reply.text)}


def chunks(reply, name, whole=False):
    """The answer as one, or as a chunk for each part but calls, which come together."""
    parts = list(parts_of(reply, whole))
    texts = [[part] for part in parts if "functionCall" not in part]
    calls = [part for part in parts if "functionCall" in part]
    groups = [parts] if whole else texts + ([calls] if calls else [])
    for at, group in enumerate(groups or [[]]):
        last = at >= len(groups) - 1 and not (reply.ends and not whole)
        candidate = {"content": {"parts": group, "role": "model"} if group else {}}
        if last:
            candidate["finishReason"] = FINISH[reply.stop]
            if calls:
                candidate["finishMessage"] = "Model generated function call(s)."
        yield {
            "candidates": [candidate | {"index": 0}],
            "usageMetadata": usage_of(reply, last),
            "modelVersion": name.removeprefix("models/"),
            "responseId": "scripted-response",
        }


def usage_of(reply, last):
    usage = {"promptTokenCount": INPUT}
    if last:
        usage["candidatesTokenCount"] = reply.output - reply.reasoning
    usage["totalTokenCount"] = INPUT + (reply.output if last else reply.reasoning)
    usage["cachedContentTokenCount"] = CACHED
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": INPUT}]
    return usage | ({"thoughtsTokenCount": reply.reasoning} if reply.thought else {})


def embedded(body, name):
    requests = camel(body).get("requests")
    demand(requests, "* BatchEmbedContentsRequest.requests: at least one request is required")
    for request in requests:
        demand(request.get("model") == name, "* BatchEmbedContentsRequest.requests[0].model: model is not specified")
    return Whole(200, {"embeddings": [{"values": vector_of(request)} for request in requests]})


def vector_of(request):
    text = "".join(part["text"] for part in request["content"]["parts"])
    return [float(len(text)), *(0.5**at for at in range(1, request.get("outputDimensionality") or 4))]
