"""The servers under test and their providers, for the official SDKs.

`nexus` has one provider that decides by the text of the last message: what a test sends is what it gets. `router` has a
provider of every kind (`matrix.py`).
"""

import json
import struct
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import pytest
from google import genai
from matrix import Scripted, config
from router import Router

CONFIG = """
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
group_id.http_header = "X-Group-Id"
[server.client_identification.validation]
group_values = ["premium", "basic"]
require_group = false

[llm.providers.echo]
type = "echo"
[llm.providers.echo.models.m]
[llm.providers.echo.models.tight.rate_limits.per_user]
input_token_limit = 8
interval = "2s"
[llm.providers.echo.models.daily.rate_limits.per_user]
input_token_limit = 8
interval = "1d"

[llm.providers.openai]
type = "openai"
api_key = "sk-upstream"
base_url = "http://127.0.0.1:{port}/v1"
[llm.providers.openai.models."gpt-4o"]
rename = "gpt-4o-0123"
[llm.providers.openai.models."gold"]
allow = ["premium"]
[llm.providers.openai.models."text-embedding-3-small"]
"""


class Provider(BaseHTTPRequestHandler):
    """An OpenAI-like server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Says nothing: the test's own output matters."""

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["authorization"] == "Bearer sk-upstream"
        if self.path == "/v1/embeddings":
            self.embed(call)
            return
        text = call["messages"][-1]["content"]
        if text.startswith("status "):
            self.json(
                int(text.split()[1]), {"error": {"message": text, "type": "scripted", "param": None, "code": "x"}}
            )
        elif call.get("stream"):
            self.stream(text, call.get("stream_options", {}).get("include_usage", False))
        else:
            message = {"role": "assistant", "content": None if call.get("tools") else text}
            if call.get("tools"):
                function = {"name": call["tools"][0]["function"]["name"], "arguments": '{"city":"Rome"}'}
                message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call.get("tools") else "stop"}
            usage = {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9}
            self.json(200, {**self.frame("chat.completion"), "choices": [choice], "usage": usage})

    def embed(self, call):
        """One vector for each input, in the encoding that was asked for."""
        inputs = call["input"] if isinstance(call["input"], list) else [call["input"]]
        data = []
        for index, text in enumerate(inputs):
            vector = [float(len(text)), 0.5]
            if call.get("encoding_format") == "base64":
                vector = b64encode(struct.pack("<2f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        self.json(200, {"object": "list", "data": data, "model": call["model"], "usage": usage})

    def stream(self, text, usage):
        """Word by word; a text that says `break` breaks off."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for word in text.split(" "):
            if word == "break":
                self.close_connection = True
                return
            self.event(choices=[{"index": 0, "delta": {"content": word}, "finish_reason": None}])
        self.event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if usage:
            self.event(choices=[], usage={"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10})
        self.chunk("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, **members):
        self.chunk(f"data: {json.dumps({**self.frame('chat.completion.chunk'), **members})}\n\n")

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @staticmethod
    def frame(kind):
        return {"id": "chatcmpl-1", "object": kind, "created": 1719475200, "model": "gpt-4o-0123"}


@pytest.fixture(scope="session")
def nexus(tmp_path_factory):
    """The address of a running server."""
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    provider.daemon_threads = True
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    with Router(tmp_path_factory.mktemp("nexus"), CONFIG.replace("{port}", str(provider.server_port))) as router:
        yield router.address
    provider.shutdown()


@pytest.fixture
def options(nexus, request):
    """How a client is made; each test is a caller of its own."""
    headers = {"X-User-Id": request.node.name, "X-Group-Id": "basic"}
    base_url = f"http://{nexus}/llm/openai/v1"
    return {"base_url": base_url, "api_key": "unused", "default_headers": headers, "max_retries": 0}


@pytest.fixture
def client(options):
    """The official SDK, pointed at the server."""
    with openai.OpenAI(**options) as client:
        yield client


@pytest.fixture(scope="session")
def scripted():
    """The process that is every provider."""
    with Scripted() as provider:
        yield provider


@pytest.fixture(scope="session")
def router(scripted, tmp_path_factory):
    """A running server with every kind of provider."""
    with Router(tmp_path_factory.mktemp("router"), config(scripted.url)) as router:
        yield router


# The headers of a caller. SDKs are slow to begin: all tests share one client of each.
EVERYBODY = {"X-User-Id": "tests"}


@pytest.fixture
def caller(request):
    """The headers of a caller who is nobody else: each test is one of its own."""
    return {"X-User-Id": request.node.nodeid}


@pytest.fixture(params=["protocol", "root"])
def base(request, router):
    """Below what a user sets as a base URL: a protocol's path, or nothing."""
    return lambda protocol: f"http://{router.address}" + (f"/llm/{protocol}" if request.param == "protocol" else "")


@pytest.fixture(scope="session")
def chat(router):
    """The SDK of OpenAI."""
    base_url = f"http://{router.address}/llm/openai/v1"
    with openai.OpenAI(base_url=base_url, api_key="unused", default_headers=EVERYBODY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def claude(router):
    """The SDK of Anthropic."""
    base_url = f"http://{router.address}/llm/anthropic"
    with anthropic.Anthropic(base_url=base_url, api_key="unused", default_headers=EVERYBODY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def gemini(router):
    """The SDK of Google."""
    options = {"base_url": f"http://{router.address}/llm/google", "headers": EVERYBODY}
    client = genai.Client(api_key="unused", http_options=options)
    yield client
    client.close()
