"""OpenAI's responses, and the same on Azure. Nothing is stored: a conversation comes whole, or not at all."""

import re

from model import CACHED, INPUT, Failure, Question, Result, demand, halves, pieces, signature

from . import CREATED, Stream, Whole, compact, half, openai_chat

ROUTES = [r"/responses$"]

KNOWN = set(
    """background context_management conversation include input instructions max_output_tokens max_tool_calls metadata
    model parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning
    safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p
    truncation user client_metadata""".split()
)

failure = openai_chat.failure


def answer(call, _path, model):
    body = call.json
    openai_chat.authenticate(call)
    demand(isinstance(body, dict), "We could not parse the JSON body of your request.")
    strange = sorted(set(body) - KNOWN)
    demand(not strange, f"Unknown parameter: '{strange and strange[0]}'.", 400, "unknown_parameter")
    name = body.get("model")
    demand(isinstance(name, str), "Missing required parameter: 'model'.", 400, "missing_required_parameter")
    openai_chat.absent(name, openai_chat.is_azure(call))
    previous = body.get("previous_response_id")
    demand(previous is None, f"Previous response with id '{previous}' not found.", 400, "previous_response_not_found")
    reply = model.reply(read(body))
    frame = frame_of(body, name)
    opaque = "reasoning.encrypted_content" in (body.get("include") or [])
    if body.get("stream"):
        events = written(events_of(reply, frame, opaque), reply)
        return Stream("text/event-stream; charset=utf-8", events, openai_chat.limits(call), reply.ends == "break")
    if reply.ends == "fail":
        raise Failure(500, "The server had an error while processing your request.")
    return Whole(200, finished(reply, frame, opaque), openai_chat.limits(call), reply.ends == "break")


def read(body):
    question = Question(system=body.get("instructions") or "")
    given = body.get("input")
    demand(given, "Missing required parameter: 'input'.", 400, "missing_required_parameter")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    open_calls, thought = [], None
    for at, item in enumerate(items):
        kind = item.get("type") or "message"
        if kind == "reasoning":
            own = signature("openai", item.get("summary") or [])
            opaque = item.get("encrypted_content")
            demand(
                opaque in (None, own), "The encrypted content could not be verified.", 400, "invalid_encrypted_content"
            )
            thought = item.get("id") or opaque
            continue
        if kind == "function_call":
            demand(
                isinstance(item.get("arguments"), str) and item.get("name"),
                f"Missing required parameter: 'input[{at}].arguments'.",
            )
            demand(0 < len(item.get("call_id") or "") <= 64, f"Missing required parameter: 'input[{at}].call_id'.")
            open_calls.append(item["call_id"])
        elif kind == "function_call_output":
            demand(
                item.get("call_id") in open_calls,
                f"No tool call found for function call output with call_id {item.get('call_id')}.",
            )
            open_calls.remove(item["call_id"])
            question.results.append(result(item.get("output")))
        elif kind == "message":
            message(item, question, f"input[{at}]")
        else:
            raise Failure(400, f"Invalid value: '{kind}'. input[{at}].type", "invalid_value")
        demand(
            not thought or kind != "function_call_output" and item.get("role") != "user",
            f"Item '{thought}' of type 'reasoning' was provided without its required following item.",
        )
        thought = None
    demand(not thought, f"Item '{thought}' of type 'reasoning' was provided without its required following item.")
    demand(not open_calls, f"No tool output found for function call {open_calls and open_calls[0]}.")
    wishes(body, question)
    return question


def result(output):
    if isinstance(output, list):
        words = [
            part["text"] if part["type"] == "input_text" else openai_chat.media(part["image_url"]) for part in output
        ]
        output = " ".join(words)
    demand(isinstance(output, str), "Missing required parameter: 'output'.")
    return Result(output, output.startswith("Error: "))


def message(item, question, place):
    role, content = item.get("role"), item.get("content")
    parts = (
        [{"type": "output_text" if role == "assistant" else "input_text", "text": content}]
        if isinstance(content, str)
        else content
    )
    demand(isinstance(parts, list), f"Missing required parameter: '{place}.content'.")
    allowed = ("output_text", "refusal") if role == "assistant" else ("input_text", "input_image", "input_file")
    for part in parts:
        demand(
            part.get("type") in allowed,
            f"Invalid value: '{part.get('type')}'. Supported values are: {', '.join(allowed)}.",
            400,
            "invalid_value",
        )
    if role in ("user", "assistant"):
        question.results = []
    if role in ("system", "developer"):
        question.system = "\n".join(filter(None, [question.system, *(part["text"] for part in parts)]))
    elif role == "user":
        question.texts = [part["text"] for part in parts if part["type"] == "input_text"]
        urls = [part.get("image_url") or part.get("file_data") for part in parts if part["type"] != "input_text"]
        question.media = [openai_chat.media(url) for url in urls]
    else:
        demand(role == "assistant", f"Invalid value: '{role}'.", 400, "invalid_value")


def wishes(body, question):
    for tool in body.get("tools") or []:
        if tool.get("type") == "function":
            demand(
                re.fullmatch("[a-zA-Z0-9_-]{1,64}", tool.get("name", "")),
                "Missing required parameter: 'tools[0].name'.",
            )
            openai_chat.strict(tool, tool.get("parameters"), f"function '{tool['name']}'")
            question.tools[tool["name"]] = tool.get("parameters") or {"type": "object"}
    choice = body.get("tool_choice") or "auto"
    question.choice = choice if isinstance(choice, str) else choice.get("name", "auto")
    question.parallel = body.get("parallel_tool_calls") is not False
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        demand(wanted.get("name"), "Missing required parameter: 'text.format.name'.")
        openai_chat.strict(wanted, wanted["schema"], f"response_format '{wanted['name']}'")
        question.schema = wanted["schema"]
    effort = (body.get("reasoning") or {}).get("effort")
    question.thinks = effort not in (None, "none")


def frame_of(body, name):
    """What every state of the response repeats of the request."""
    return {
        "id": "resp_" + "5" * 48,
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": f"{name}-2025-01-01",
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def items_of(reply, opaque):
    if reply.thought:
        summary = [{"type": "summary_text", "text": reply.thought}]
        item = {"id": "rs_" + "5" * 48, "type": "reasoning", "summary": summary}
        yield item | ({"encrypted_content": signature("openai", summary)} if opaque else {})
    if reply.text:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}
        if reply.stop == "refusal":
            part = {"type": "refusal", "refusal": reply.text}
        status = "incomplete" if reply.stop == "length" else "completed"
        yield {"id": "msg_" + "5" * 48, "type": "message", "status": status, "content": [part], "role": "assistant"}
    for at, (name, arguments) in enumerate(reply.calls):
        identity = openai_chat.call_id(at, name, arguments)
        call = {"id": f"fc_{at}" + "5" * 47, "type": "function_call", "status": "completed"}
        yield call | {"arguments": compact(arguments), "call_id": identity, "name": name}


def finished(reply, frame, opaque):
    stopped = {"status": "completed"}
    if reply.stop == "length":
        stopped = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    usage = {
        "input_tokens": INPUT,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": reply.output,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning},
        "total_tokens": INPUT + reply.output,
    }
    return frame | stopped | {"output": list(items_of(reply, opaque)), "usage": usage}


def events_of(reply, frame, opaque):
    yield {"type": "response.created", "response": frame}
    yield {"type": "response.in_progress", "response": frame}
    for index, item in enumerate(items_of(reply, opaque)):
        yield from item_events(item, index, reply)
        if reply.ends:
            return
    last = finished(reply, frame, opaque)
    yield {"type": f"response.{last['status']}", "response": last}


def item_events(item, index, reply):
    place = {"item_id": item["id"], "output_index": index}
    started = {"reasoning": {"summary": []}, "message": {"content": []}, "function_call": {"arguments": ""}}
    open_status = {"status": "in_progress"} if "status" in item else {}
    yield {
        "type": "response.output_item.added",
        "output_index": index,
        "item": item | started[item["type"]] | open_status,
    }
    if item["type"] == "reasoning":
        place["summary_index"], part = 0, item["summary"][0]
        yield {"type": "response.reasoning_summary_part.added", **place, "part": part | {"text": ""}}
        for word in pieces(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": word, "obfuscation": "x"}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}
    elif item["type"] == "message":
        yield from message_events(item, place, reply)
    else:
        for piece in halves(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": piece, "obfuscation": "x"}
        yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
    if not reply.ends:
        yield {"type": "response.output_item.done", "output_index": index, "item": item}


def message_events(item, place, reply):
    part = item["content"][0]
    member, name, more = ("text", "output_text", {"logprobs": []}) if "text" in part else ("refusal", "refusal", {})
    place = {**place, "content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": part | {member: ""}}
    for word in half(reply.words(), reply):
        yield {"type": f"response.{name}.delta", **place, "delta": word, **more, "obfuscation": "x"}
    if not reply.ends:
        yield {"type": f"response.{name}.done", **place, member: part[member], **more}
        yield {"type": "response.content_part.done", **place, "part": part}


def written(events, reply):
    number = -1
    for number, event in enumerate(events):
        yield f"event: {event['type']}\ndata: {compact(event | {'sequence_number': number})}\n\n"
    if reply.ends == "fail":
        text = "The server had an error while processing your request."
        event = {"type": "error", "code": "server_error", "message": text, "param": None, "sequence_number": number + 1}
        yield f"event: error\ndata: {compact(event)}\n\n"
