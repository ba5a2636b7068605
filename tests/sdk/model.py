"""A small model that always answers the same: what the scripted provider says, whatever wire it is asked over.

It knows no wire: a wire reads its request into a `Question` and writes the `Reply`. What a test wants it says in the
user's words, at the beginning of a text part:

    fail 429            an error of this status, with Retry-After where a real one has it
    fail later          an error in the middle of a stream
    break               the connection ends in the middle of the answer
    long                stops because of the length
    refuse              refuses
    say TEXT            answers TEXT
    who are you         answers with the system prompt
    call NAME {JSON}    calls the tool of this name (one line for each call)
    weather in A and B  anywhere in a text: calls the first tool that is about weather, or the first, for A and for B
    think …             reasons first, where the wire shows it

Anything else is answered with `TEXT`; images with their type and size; tool results with their contents; a JSON schema
with a value that fits. Stop sequences cut the answer.
"""

import hashlib
import json
import re
from base64 import b64encode
from dataclasses import dataclass, field

TEXT = "Hello from the scripted model: äöü 🌍."
THOUGHT = "Let me think about this, step by step."

# Whole input, what of it came from a cache, and the output without and of reasoning.
INPUT, CACHED, OUTPUT, REASONING = 30, 10, 7, 5

# What is counted for a request that is not sent to the model.
COUNTED = 42

# Whole seconds that a failure asks to wait.
RETRY_AFTER = 7

SHELLS = ("Bash", "exec_command", "shell", "shell_command", "run_shell_command")


class Failure(Exception):
    """The request is refused; the wire says how that looks. `code` is what only one wire knows."""

    def __init__(self, status, message, code=None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    @property
    def wait(self):
        """The headers that say when to come again."""
        return {"retry-after": str(RETRY_AFTER)} if self.status in (429, 503, 529) else {}


def demand(condition, message, status=400, code=None):
    """Fails as a provider does if something about the request is wrong."""
    if not condition:
        raise Failure(status, message, code)


@dataclass
class Result:
    """What a tool said."""

    text: str
    is_error: bool = False


@dataclass
class Question:
    """What the model is to answer: the last turn, and what stands beside it."""

    texts: list = field(default_factory=list)
    media: list = field(default_factory=list)
    results: list = field(default_factory=list)
    system: str = ""
    # Name and JSON schema of each tool.
    tools: dict = field(default_factory=dict)
    # "auto", "none", "required" or the name of a tool.
    choice: str = "auto"
    parallel: bool = True
    schema: dict | None = None
    stops: list = field(default_factory=list)
    # Whether the request asks for reasoning.
    thinks: bool = False


@dataclass
class Reply:
    """What the model says. `stop` is "stop", "sequence", "length", "calls" or "refusal"."""

    text: str = ""
    thought: str = ""
    # Name and arguments.
    calls: list = field(default_factory=list)
    stop: str = "stop"
    sequence: str | None = None
    # How a stream ends early: "break" or "fail".
    ends: str | None = None

    @property
    def output(self):
        return OUTPUT + self.reasoning

    @property
    def reasoning(self):
        return REASONING if self.thought else 0

    def words(self):
        """The text in the pieces of a stream."""
        return pieces(self.text)


def pieces(text):
    """A text as a model writes it: word by word."""
    return re.findall(r"\s*\S+\s*$|\s*\S+", text) or ([text] if text else [])


def halves(text):
    """Arguments of a call in pieces that split names and values."""
    return [text[at : at + 5] for at in range(0, len(text), 5)]


def described(media_type, data):
    """How the model speaks of an image or a document that it sees."""
    return f"{media_type} of {len(data)} bytes, {hashlib.sha256(data).hexdigest()[:8]}"


def signature(maker, *signed):
    """What a provider signs its own words with: it knows them again, and nobody else can make it."""
    text = json.dumps([maker, *signed], sort_keys=True, separators=(",", ":"))
    return b64encode(b"signed:" + hashlib.sha256(text.encode()).digest()).decode()


def fill(schema, hints=None, root=None):
    """A value that fits a JSON schema; a property that is hinted at gets that."""
    root, hints = root or schema, hints or {}
    if "$ref" in schema:
        target = root
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return fill(target, hints, root)
    if "const" in schema or schema.get("enum"):
        return schema.get("const", (schema.get("enum") or [None])[0])
    for of in ("anyOf", "any_of", "oneOf", "allOf"):
        if schema.get(of):
            return fill(schema[of][0], hints, root)
    kind = schema.get("type", "object")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: hints.get(name) or fill(inner, hints, root) for name, inner in properties.items()}
    if kind == "array":
        return [fill(schema.get("items", {"type": "string"}), hints, root)]
    return {"string": "text", "integer": 7, "number": 1.5, "boolean": True}.get(kind)


class Model:
    """Answers questions. The script "agent" calls a shell of the tools as soon as there is one, for whole programs."""

    def __init__(self, script="plain"):
        assert script in ("plain", "agent"), f"no such script: {script}"
        self.script = script

    def reply(self, question):
        thought = THOUGHT if question.thinks or command(question, "think") is not None else ""
        reply = self.answer(question)
        reply.thought = thought
        for stop in question.stops:
            if stop in reply.text:
                reply.text, reply.stop, reply.sequence = reply.text.partition(stop)[0], "sequence", stop
        return reply

    def answer(self, question):
        if (status := command(question, "fail ")) is not None and status != "later":
            raise Failure(int(status), f"scripted failure {status}")
        if calls := self.calls(question):
            return Reply(calls=calls if question.parallel else calls[:1], stop="calls")
        for word, stop in (("refuse", "refusal"), ("long", "length")):
            if command(question, word) is not None:
                return Reply("I cannot help with that." if word == "refuse" else "This goes on and on", stop=stop)
        for word, ends in (("break", "break"), ("fail later", "fail")):
            if command(question, word) is not None:
                return Reply("one two three four", ends=ends)
        return Reply(self.text(question))

    def text(self, question):
        if question.results:
            return "The tools say: " + " and ".join(said(result) for result in question.results)
        if question.schema is not None:
            city = cities(question)
            return json.dumps(fill(question.schema, {"city": city[0]} if city else None), ensure_ascii=False)
        if (text := command(question, "say ")) is not None:
            return text
        if command(question, "who are you") is not None:
            return f"I am: {question.system}"
        if question.media:
            return "I see " + " and ".join(question.media) + "."
        return TEXT

    def calls(self, question):
        """The calls that the words ask for, in the order of the words."""
        if not question.tools or question.choice == "none" or question.results:
            return []
        asked = re.findall(r"^call (\S+) (\{.*\})$", "\n".join(question.texts), re.MULTILINE)
        calls = [(name, json.loads(arguments)) for name, arguments in asked if name in question.tools]
        if calls:
            return calls
        named = question.choice if question.choice in question.tools else None
        about = next((name for name in question.tools if "weather" in name), next(iter(question.tools)))
        name = named or about
        if found := cities(question):
            return [(name, fill(question.tools[name], {"city": city, "location": city})) for city in found]
        if named or question.choice == "required":
            return [(name, fill(question.tools[name]))]
        shell = next((shell for shell in SHELLS if shell in question.tools), None)
        if self.script == "agent" and shell:
            return [(shell, fill(question.tools[shell], commanded(question.tools[shell])))]
        return []


def commanded(schema):
    """The shell's command as its schema wants it, and nothing that is not needed."""
    line = "echo scripted"
    properties = schema.get("properties", {})
    needed = set(schema.get("required", []))
    for name in [name for name in properties if name not in needed and name not in ("command", "cmd")]:
        del properties[name]
    is_list = properties.get("command", {}).get("type") == "array"
    return {"command": ["bash", "-lc", line] if is_list else line, "cmd": line}


def command(question, word):
    """What follows this word at the beginning of a text, or None."""
    for text in question.texts:
        if text.strip().startswith(word):
            return text.strip().removeprefix(word).strip()
    return None


def cities(question):
    found = re.search(r"weather in (\w+(?:(?:, | and )\w+)*)", " ".join(question.texts))
    return re.split(r", | and ", found[1]) if found else []


def said(result):
    return ("(error) " if result.is_error else "") + result.text[:500]
