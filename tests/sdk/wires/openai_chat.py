"""OpenAI's chat completions, and the same on Azure by a deployment's path or the newer one."""

import re
from base64 import b64decode

from model import CACHED, INPUT, Failure, Question, Result, demand, described, halves, signature

from . import CREATED, GONE, WRONG, Stream, Whole, compact, half

ROUTES = [r"/chat/completions$"]

KNOWN = set(
    """audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages
    metadata modalities model n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_retention
    reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature
    tool_choice tools top_logprobs top_p user verbosity web_search_options""".split()
)

KINDS = {401: "invalid_request_error", 429: "requests", 500: "server_error", 503: "server_error"}
FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "calls": "tool_calls", "refusal": "stop"}


def answer(call, _path, model):
    body, azure = call.json, is_azure(call)
    authenticate(call)
    demand(isinstance(body, dict), "We could not parse the JSON body of your request.")
    strange = sorted(set(body) - KNOWN)
    demand(not strange, f"Unrecognized request argument supplied: {', '.join(strange)}")
    name = deployment(call) or body.get("model")
    demand(isinstance(name, str), "you must provide a model parameter")
    absent(name, azure)
    stream = body.get("stream", False)
    demand(
        stream or "stream_options" not in body,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    )
    question = read(body)
    reply = model.reply(question)
    free = {tool["custom"]["name"] for tool in body.get("tools") or [] if tool["type"] == "custom"}
    frame = {"id": "chatcmpl-" + "B" * 29, "created": CREATED, "model": f"{name}-2025-01-01"}
    if stream:
        usage = body.get("stream_options", {}).get("include_usage", False)
        events = written(events_of(reply, frame, usage, azure, free), reply)
        return Stream("text/event-stream; charset=utf-8", events, limits(call), reply.ends == "break")
    if reply.ends == "fail":
        raise Failure(500, "The server had an error while processing your request.")
    return Whole(200, whole(reply, frame, azure, body.get("n") or 1, free), limits(call), reply.ends == "break")


def is_azure(call):
    return call.path.startswith("/openai/")


def deployment(call):
    found = re.search(r"/deployments/([^/]+)/", call.path)
    demand(not found or "api-version" in call.query, "Resource not found", 404, "404")
    return found and found[1]


def authenticate(call):
    key = call.headers.get("api-key") or call.bearer() if is_azure(call) else call.bearer()
    message = "You didn't provide an API key." if not key else f"Incorrect API key provided: {key}."
    demand(key and key != WRONG, message, 401, "invalid_api_key")


def absent(name, azure):
    code = "DeploymentNotFound" if azure else "model_not_found"
    demand(name != GONE, f"The model `{name}` does not exist or you do not have access to it.", 404, code)


def limits(call):
    headers = {"x-request-id": "req_provider", "openai-version": "2020-10-01"}
    return (
        headers
        if is_azure(call)
        else {**headers, "x-ratelimit-limit-requests": "30000", "x-ratelimit-reset-requests": "6ms"}
    )


def failure(failure, call):
    headers = {"x-request-id": "req_provider", **failure.wait}
    if is_azure(call):
        code = failure.code or str(failure.status)
        return Whole(failure.status, {"error": {"code": code, "message": failure.message}}, headers)
    return Whole(failure.status, {"error": error(failure)}, headers)


def error(failure):
    kind = KINDS.get(failure.status, "invalid_request_error")
    code = failure.code or ("rate_limit_exceeded" if failure.status == 429 else None)
    return {"message": failure.message, "type": kind, "param": None, "code": code}


def read(body):
    question = Question(thinks=False)
    messages = body.get("messages")
    demand(
        isinstance(messages, list) and messages,
        "Invalid 'messages': empty array. Expected an array with minimum length 1.",
    )
    waiting = {}
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        place = f"messages.[{at}]"
        if role == "tool":
            call_id = message.get("tool_call_id")
            demand(
                call_id in waiting,
                f"Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'. {place}",
            )
            del waiting[call_id]
            question.results.append(Result(text_of(content, place), str(text_of(content, place)).startswith("Error: ")))
            continue
        demand(
            not waiting,
            f"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
        )
        if role in ("user", "assistant"):
            question.results = []
        if role in ("system", "developer"):
            question.system = "\n".join(filter(None, [question.system, text_of(content, place)]))
        elif role == "user":
            question.texts, question.media = [], []
            for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
                user_part(part, question, place)
        elif role == "assistant":
            demand(
                content is not None or message.get("tool_calls") or message.get("refusal"),
                f"Invalid value for 'content': expected a string, got null. {place}",
            )
            for tool_call in message.get("tool_calls") or []:
                waiting[called(tool_call, place)] = True
        else:
            raise Failure(
                400,
                f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'tool', and 'developer'.",
            )
    demand(
        not waiting,
        f"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
    )
    wishes(body, question)
    return question


def text_of(content, place):
    if isinstance(content, list):
        demand(all(part.get("type") == "text" for part in content), f"Invalid content type. {place}")
        return "".join(part["text"] for part in content)
    demand(isinstance(content, str), f"Invalid value for 'content': expected a string. {place}")
    return content


def called(call, place):
    identity, function = call.get("id"), call.get("function") or {}
    demand(
        isinstance(identity, str) and 0 < len(identity) <= 40,
        f"Invalid '{place}.tool_calls[0].id': string too long. Expected a string with maximum length 40.",
    )
    if call.get("type") == "custom":
        demand(
            isinstance(call["custom"].get("input"), str),
            f"Missing required parameter: '{place}.tool_calls[0].custom.input'.",
        )
        return identity
    demand(
        call.get("type") == "function" and isinstance(function.get("arguments"), str),
        f"Missing required parameter: '{place}.tool_calls[0].function.arguments'.",
    )
    demand(
        re.fullmatch("[a-zA-Z0-9_-]{1,64}", function.get("name", "")),
        f"Invalid '{place}.tool_calls[0].function.name': string does not match pattern.",
    )
    return identity


def user_part(part, question, place):
    kind = part.get("type")
    if kind == "text":
        question.texts.append(part["text"])
    elif kind == "image_url":
        question.media.append(media(part["image_url"]["url"]))
    elif kind == "file":
        question.media.append(media(part["file"]["file_data"]))
    elif kind == "input_audio":
        question.media.append(
            described("audio/" + part["input_audio"]["format"], b64decode(part["input_audio"]["data"]))
        )
    else:
        raise Failure(400, f"Invalid value: '{kind}'. {place}")


def media(url):
    found = re.fullmatch("data:([^;]+);base64,(.*)", url)
    return described(found[1], b64decode(found[2])) if found else url


def wishes(body, question):
    for tool in body.get("tools") or []:
        if tool.get("type") == "custom":
            question.tools[tool["custom"]["name"]] = {"type": "object", "properties": {"input": {"type": "string"}}}
            continue
        demand(
            tool.get("type") == "function",
            f"Invalid value: '{tool.get('type')}'. Supported values are: 'function' and 'custom'.",
        )
        function = tool["function"]
        demand(
            re.fullmatch("[a-zA-Z0-9_-]{1,64}", function.get("name", "")),
            "Invalid 'tools[0].function.name': string does not match pattern.",
        )
        strict(function, function.get("parameters"), f"function '{function['name']}'")
        question.tools[function["name"]] = function.get("parameters") or {"type": "object"}
    demand(
        question.tools or "tool_choice" not in body,
        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
    )
    choice = body.get("tool_choice") or "auto"
    question.choice = choice if isinstance(choice, str) else choice["function"]["name"]
    question.parallel = body.get("parallel_tool_calls", True)
    kind = (body.get("response_format") or {}).get("type")
    if kind == "json_schema":
        wanted = body["response_format"]["json_schema"]
        demand(wanted.get("name"), "Missing required parameter: 'response_format.json_schema.name'.")
        strict(wanted, wanted.get("schema"), f"response_format '{wanted['name']}'")
        question.schema = wanted["schema"]
    elif kind == "json_object":
        question.schema = {"type": "object"}
    stops = body.get("stop") or []
    question.stops = [stops] if isinstance(stops, str) else stops


def strict(asked, schema, where):
    """A strict schema names everything as required and allows nothing more."""
    if not asked.get("strict") or not schema:
        return
    for inner in [schema, *schema.get("$defs", {}).values()]:
        if inner.get("type") == "object":
            demand(
                inner.get("additionalProperties") is False,
                f"Invalid schema for {where}: In context=(), 'additionalProperties' is required to be supplied and to be false.",
            )
            demand(
                set(inner.get("required", [])) == set(inner.get("properties", {})),
                f"Invalid schema for {where}: In context=(), 'required' is required to be supplied and to be an array including every key in properties.",
            )


def usage_of(reply):
    return {
        "prompt_tokens": INPUT,
        "completion_tokens": reply.output,
        "total_tokens": INPUT + reply.output,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def call_id(at, name, arguments):
    """As OpenAI makes them: 29 characters."""
    made = re.sub("[^a-zA-Z0-9]", "", signature("call", at, name, arguments))
    return "call_" + made[-24:]


def call_of(at, call, free):
    """A call; of a tool for free text, one without JSON."""
    name, arguments = call
    if name in free:
        return {"id": call_id(at, *call), "type": "custom", "custom": {"name": name, "input": arguments["input"]}}
    return {"id": call_id(at, *call), "type": "function", "function": {"name": name, "arguments": compact(arguments)}}


def whole(reply, frame, azure, n, free):
    message = {"role": "assistant", "content": reply.text or None, "refusal": None, "annotations": []}
    if reply.stop == "refusal":
        message |= {"content": None, "refusal": reply.text}
    if reply.thought:
        message["reasoning_content"] = reply.thought
    if reply.calls:
        message["tool_calls"] = [call_of(at, call, free) for at, call in enumerate(reply.calls)]
    choice = {"message": message, "logprobs": None, "finish_reason": FINISH[reply.stop]}
    if azure:
        choice["content_filter_results"] = {"hate": {"filtered": False, "severity": "safe"}}
    return {
        "id": frame["id"],
        "object": "chat.completion",
        "created": frame["created"],
        "model": frame["model"],
        "choices": [{"index": index, **choice} for index in range(n)],
        "usage": usage_of(reply),
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def events_of(reply, frame, usage, azure, free):
    """The chunks of a stream, each a dictionary."""
    head = {"id": frame["id"], "object": "chat.completion.chunk", "created": frame["created"], "model": frame["model"]}
    head |= {"service_tier": "default", "system_fingerprint": "fp_scripted"}
    blank = {"usage": None, "obfuscation": "k3Xw"} if usage else {"obfuscation": "k3Xw"}

    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice | ({"content_filter_results": {}} if azure else {})], **blank}

    if azure:
        filters = [{"prompt_index": 0, "content_filter_results": {}}]
        yield {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filters}
    started = {"role": "assistant", "content": None if reply.calls else "", "refusal": None}
    for at, call in enumerate(reply.calls):
        tool = call_of(at, call, free)
        kind, member = tool["type"], "input" if tool["type"] == "custom" else "arguments"
        begun = {"index": at, **tool, kind: tool[kind] | {member: ""}}
        yield chunk({**(started if at == 0 else {}), "tool_calls": [begun]})
        for piece in halves(tool[kind][member]):
            yield chunk({"tool_calls": [{"index": at, kind: {member: piece}}]})
    if not reply.calls:
        yield chunk(started)
    if reply.thought:
        yield chunk({"reasoning_content": reply.thought})
    member = "refusal" if reply.stop == "refusal" else "content"
    for word in half(reply.words(), reply):
        yield chunk({member: word})
    if reply.ends:
        return
    yield chunk({}, FINISH[reply.stop])
    if usage:
        yield {**head, "choices": [], "usage": usage_of(reply), "obfuscation": "k3Xw"}


def written(events, reply):
    for event in events:
        yield f"data: {compact(event)}\n\n"
    if reply.ends == "fail":
        failed = error(Failure(500, "The server had an error while processing your request."))
        yield f"data: {compact({'error': failed})}\n\n"
    elif not reply.ends:
        yield "data: [DONE]\n\n"
