"""What a request means, read from each dialect on its own: the oracle for what reaches a provider of another kind.

Written from counted facts about the wire formats and from their vendors' documents, not from the router's code.
"""

import base64
import json
import re
from dataclasses import dataclass, field

# The words under which a plain result of a tool becomes Google's object.
WRAPPERS = ("result", "output", "return_value", "error", "content")


@dataclass
class Conversation:
    """A request, whatever it is written in. Reasoning is left out: no provider takes another's."""

    system: list = field(default_factory=list)
    turns: list = field(default_factory=list)
    media: list = field(default_factory=list)
    tools: dict = field(default_factory=dict)
    hosted: list = field(default_factory=list)
    choice: str | None = None
    schema: dict | None = None
    limits: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)

    def say(self, role, text):
        if text:
            self.turns.append((role, "text", text))

    def call(self, id, name, arguments):
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                arguments = {"input": arguments}
        if not isinstance(arguments, dict):
            arguments = {"value": arguments}
        self.names[id] = name
        self.turns.append(("assistant", "call", (name, canonical(arguments))))

    def result(self, name, value):
        self.turns.append(("user", "result", (name, plain(value))))

    def limit(self, **values):
        self.limits.update({name: value for name, value in values.items() if value is not None})

    def settled(self):
        """The turns in one order: results before text, text before calls, the text of a turn in one piece."""
        settled, run, speaker = [], {}, None
        for role, kind, value in [*self.turns, (None, None, None)]:
            if role != speaker:
                for part in ("result", "text", "call"):
                    words = run.get(part, [])
                    # Spaces between the pieces of a turn are the target's affair.
                    settled += [text for text in [squeezed("".join(words))] if text] if part == "text" else words
                run, speaker = {}, role
            run.setdefault(kind, []).append(value)
        return settled


def squeezed(text):
    return re.sub(r"\s+", "", text)


def canonical(value):
    return json.dumps(value, sort_keys=True)


def plain(value):
    """A tool's result without what a dialect wraps it in."""
    if isinstance(value, str):
        value = value.removeprefix("Error: ")
        try:
            value = json.loads(value)
        except ValueError:
            return squeezed(value)
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in WRAPPERS:
        return plain(next(iter(value.values())))
    return squeezed(value) if isinstance(value, str) else canonical(value)


def lowered(schema):
    """A schema with the types in lower case: Google's older spelling is in capitals."""
    if isinstance(schema, list):
        return [lowered(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    spelled = {name: lowered(value) for name, value in schema.items()}
    if isinstance(spelled.get("type"), str):
        spelled["type"] = spelled["type"].lower()
        if spelled.pop("nullable", False):
            spelled["type"] = [spelled["type"], "null"]
    return spelled


def data_url(url):
    """The data of a `data:` URL, or any other URL as it is."""
    return url.split("base64,", 1)[1] if url.startswith("data:") else url


def texts(content):
    """The texts of a string or a list of parts."""
    parts = [content] if isinstance(content, str) else content or []
    return [part if isinstance(part, str) else part.get("text") or part.get("refusal") or "" for part in parts]


def chat(request):
    """OpenAI's chat completions."""
    said = Conversation()
    for message in request["messages"]:
        role = message["role"]
        if role in ("system", "developer"):
            said.system += texts(message["content"])
        elif role in ("tool", "function"):
            name = said.names.get(message.get("tool_call_id"), message.get("name"))
            said.result(name, "".join(texts(message["content"])))
            chat_parts(said, None, message["content"])
        else:
            chat_parts(said, role, message.get("content"))
            said.say(role, message.get("refusal"))
            for call in message.get("tool_calls") or []:
                function = call.get("function") or {
                    "name": call["custom"]["name"],
                    "arguments": call["custom"]["input"],
                }
                said.call(call["id"], function["name"], function["arguments"])
            if call := message.get("function_call"):
                said.call(call["name"], call["name"], call["arguments"])
    for tool in request.get("tools") or []:
        if "function" in tool:
            function = tool["function"]
            said.tools[function["name"]] = (function.get("description"), function.get("parameters"))
        elif "custom" in tool:
            said.tools[tool["custom"]["name"]] = (tool["custom"].get("description"), None)
        else:
            said.hosted.append(tool)
    for function in request.get("functions") or []:
        said.tools[function["name"]] = (function.get("description"), function.get("parameters"))
    said.choice = chat_choice(request.get("tool_choice"))
    said.schema = ((request.get("response_format") or {}).get("json_schema") or {}).get("schema")
    stop = request.get("stop")
    said.limit(
        tokens=request.get("max_completion_tokens") or request.get("max_tokens"),
        temperature=request.get("temperature"),
        top_p=request.get("top_p"),
        stop=[stop] if isinstance(stop, str) else stop,
    )
    return said


def chat_choice(choice):
    """A word, or the one function that must be called; of several only that one of them must."""
    if isinstance(choice, str):
        # Mistral's word.
        return {"any": "required"}.get(choice, choice)
    if choice and choice["type"] == "allowed_tools":
        return choice["allowed_tools"]["mode"]
    return choice and choice["function"]["name"]


def chat_parts(said, role, content):
    """Text and media of a message; `role` is none where the text was taken already."""
    for part in [content] if isinstance(content, str) else content or []:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if part["type"] in ("text", "refusal"):
            said.say(role, part.get("text") or part.get("refusal")) if role else None
        elif part["type"] == "image_url":
            said.media.append(data_url(part["image_url"]["url"]))
        elif part["type"] == "input_audio":
            said.media.append(part["input_audio"]["data"])
        elif part["type"] == "file":
            file = part["file"]
            if (file.get("file_data") or "").startswith("data:text/"):
                said.say(role, base64.b64decode(data_url(file["file_data"])).decode())
                continue
            said.media.append(data_url(file.get("file_data") or file.get("file_id")))
        elif part["type"] == "document_url":
            url = part["document_url"]
            said.media.append(data_url(url if isinstance(url, str) else url["url"]))


def responses(request):
    """OpenAI's Responses."""
    said = Conversation()
    said.system += texts(request.get("instructions"))
    items = request["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        kind = item.get("type", "message")
        if kind == "message" and item["role"] in ("system", "developer"):
            said.system += texts(item["content"])
        elif kind == "message":
            for text in texts(item["content"]):
                said.say(item["role"], text)
            responses_media(said, item["content"])
        elif kind == "function_call":
            said.call(item["call_id"], item["name"], item["arguments"])
        elif kind == "custom_tool_call":
            said.call(item["call_id"], item["name"], json.dumps({"input": item["input"]}))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            said.result(said.names.get(item["call_id"]), "".join(texts(item["output"])))
            responses_media(said, item["output"])
    for tool in request.get("tools") or []:
        responses_tool(said, tool)
    choice = request.get("tool_choice")
    said.choice = choice if isinstance(choice, str) else choice and choice.get("name")
    said.schema = ((request.get("text") or {}).get("format") or {}).get("schema")
    said.limit(
        tokens=request.get("max_output_tokens"), temperature=request.get("temperature"), top_p=request.get("top_p")
    )
    return said


def responses_tool(said, tool, prefix=""):
    """A function, a custom tool, or a namespace of them, whose name goes before theirs."""
    if tool["type"] in ("function", "custom"):
        said.tools[prefix + tool["name"]] = (tool.get("description"), tool.get("parameters"))
    elif tool["type"] == "namespace":
        for inner in tool["tools"]:
            responses_tool(said, inner, tool["name"] + "__")
    else:
        said.hosted.append(tool)


def responses_media(said, content):
    for part in [] if isinstance(content, str) else content:
        if part["type"] == "input_image":
            said.media.append(data_url(part.get("image_url") or part["file_id"]))
        elif part["type"] == "input_file":
            said.media.append(data_url(part.get("file_data") or part.get("file_url") or part["file_id"]))
        elif part["type"] == "input_audio":
            said.media.append(part["input_audio"]["data"])


def messages(request):
    """Anthropic's messages."""
    said = Conversation()
    said.system += texts(request.get("system"))
    for message in request["messages"]:
        content = message["content"]
        if message["role"] == "system":
            said.system += texts(content)
            continue
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            anthropic_block(said, message["role"], block)
    for tool in request.get("tools") or []:
        if "input_schema" in tool:
            said.tools[tool["name"]] = (tool.get("description"), tool["input_schema"])
        else:
            said.hosted.append(tool)
    choice = request.get("tool_choice") or {}
    said.choice = choice.get("name") or {"any": "required"}.get(choice.get("type"), choice.get("type"))
    output = (request.get("output_config") or {}).get("format") or request.get("output_format") or {}
    said.schema = output.get("schema")
    said.limit(
        tokens=request.get("max_tokens"),
        temperature=request.get("temperature"),
        top_p=request.get("top_p"),
        stop=request.get("stop_sequences"),
    )
    return said


def anthropic_block(said, role, block):
    kind = block["type"]
    if kind == "text":
        said.say(role, block["text"])
    elif kind == "document" and block["source"]["type"] == "text":
        # Text is text, whatever it is called.
        said.say(role, block.get("title"))
        said.say(role, block["source"]["data"])
    elif kind == "document" and block["source"]["type"] == "content":
        said.say(role, block.get("title"))
        said.say(role, "".join(texts(block["source"]["content"])))
    elif kind == "search_result":
        said.say(role, block["title"] + block["source"] + "".join(texts(block["content"])))
    elif kind in ("image", "document"):
        source = block["source"]
        said.media.append(source.get("data") or source.get("url") or source.get("file_id") or canonical(source))
    elif kind == "tool_use":
        said.call(block["id"], block["name"], block["input"])
    elif kind == "tool_result":
        content = block.get("content") or ""
        said.result(said.names.get(block["tool_use_id"]), "".join(texts(content)))
        for part in [] if isinstance(content, str) else content:
            if part["type"] != "text":
                anthropic_block(said, role, part)


def either(value, camel):
    """A member in Google's camel case or in its snake case."""
    snake = re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), camel)
    return value.get(camel, value.get(snake))


def gemini(request):
    """Google's generateContent."""
    said = Conversation()
    system = either(request, "systemInstruction") or {}
    said.system += [system] if isinstance(system, str) else texts(system.get("parts"))
    for content in request["contents"]:
        for part in content["parts"]:
            gemini_part(said, "assistant" if content.get("role") == "model" else "user", part)
    tools = request.get("tools") or []
    for tool in tools if isinstance(tools, list) else [tools]:
        declared = either(tool, "functionDeclarations")
        for function in declared or []:
            schema = either(function, "parametersJsonSchema") or function.get("parameters")
            said.tools[function["name"]] = (function.get("description"), schema)
        said.hosted += [] if declared else [tool]
    config = either(either(request, "toolConfig") or {}, "functionCallingConfig") or {}
    allowed = either(config, "allowedFunctionNames") or []
    words = {"ANY": "required", "AUTO": "auto", "NONE": "none", "VALIDATED": "auto"}
    said.choice = words.get((config.get("mode") or "").upper())
    if said.choice == "required" and len(allowed) == 1:
        said.choice = allowed[0]
    generation = either(request, "generationConfig") or {}
    said.schema = either(generation, "responseJsonSchema") or either(generation, "responseSchema")
    said.limit(
        tokens=either(generation, "maxOutputTokens"),
        temperature=generation.get("temperature"),
        top_p=either(generation, "topP"),
        stop=either(generation, "stopSequences"),
    )
    return said


def gemini_part(said, role, part):
    blob, file = either(part, "inlineData"), either(part, "fileData")
    call, result = either(part, "functionCall"), either(part, "functionResponse")
    if blob and either(blob, "mimeType").startswith("text/"):
        said.say(role, base64.b64decode(blob["data"]).decode())
    elif blob:
        # Google takes both alphabets of base64.
        said.media.append(blob["data"].replace("-", "+").replace("_", "/"))
    elif file:
        said.media.append(either(file, "fileUri"))
    elif call:
        said.call(call.get("id"), call["name"], call.get("args") or {})
    elif result:
        said.result(result["name"], result["response"])
        for inner in result.get("parts") or []:
            gemini_part(said, role, inner)
    elif not part.get("thought"):
        said.say(role, part.get("text"))


def converse(request):
    """Bedrock's Converse."""
    said = Conversation()
    said.system += texts(request.get("system"))
    for message in request["messages"]:
        for block in message["content"]:
            bedrock_block(said, message["role"], block)
    config = request.get("toolConfig") or {}
    for tool in config.get("tools") or []:
        if spec := tool.get("toolSpec"):
            said.tools[spec["name"]] = (spec.get("description"), spec["inputSchema"]["json"])
    choice = config.get("toolChoice") or {}
    said.choice = (choice.get("tool") or {}).get("name") or {"any": "required"}.get(*[next(iter(choice), None)] * 2)
    structure = ((request.get("outputConfig") or {}).get("textFormat") or {}).get("structure") or {}
    schema = (structure.get("jsonSchema") or {}).get("schema")
    said.schema = json.loads(schema) if schema else None
    inference = request.get("inferenceConfig") or {}
    said.limit(
        tokens=inference.get("maxTokens"),
        temperature=inference.get("temperature"),
        top_p=inference.get("topP"),
        stop=inference.get("stopSequences"),
    )
    return said


def bedrock_block(said, role, block):
    if "text" in block:
        said.say(role, block["text"])
    if (block.get("document") or {}).get("format") == "txt":
        # Text is text, whatever it is called; a name has no dots here, and gets hyphens.
        name = block["document"]["name"].replace("-", ".")
        # Where there is no name, Bedrock demands one all the same.
        said.say(role, name if name != "Document" else "")
        said.say(role, base64.b64decode(block["document"]["source"]["bytes"]).decode())
        return
    for kind in ("image", "document", "video", "audio"):
        if kind in block:
            source = block[kind]["source"]
            said.media.append(source.get("bytes") or source.get("text") or canonical(source))
    if "toolUse" in block:
        call = block["toolUse"]
        said.call(call["toolUseId"], call["name"], call["input"])
    if "toolResult" in block:
        result = block["toolResult"]
        words = [
            part["text"] if "text" in part else json.dumps(part["json"])
            for part in result["content"]
            if part.keys() & {"text", "json"}
        ]
        said.result(said.names.get(result["toolUseId"]), "".join(words))
        for part in result["content"]:
            if "text" not in part and "json" not in part:
                bedrock_block(said, role, part)


READERS = {
    "openai-chat": chat,
    "openai-responses": responses,
    "anthropic": messages,
    "google": gemini,
    "bedrock": converse,
}
