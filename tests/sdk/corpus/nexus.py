"""The router in front of the replaying provider, and how each dialect is asked of it."""

import http.client
import json
from typing import NamedTuple
from urllib.parse import quote

from router import PATIENCE, Router

# A provider for each wire, under the same address; `responses` also speaks chat and embeddings.
KINDS = {
    "chat": 'type = "openai"\nresponses = false\napi_key = "sk-upstream"\nbase_url = "http://127.0.0.1:{port}/v1"',
    "responses": 'type = "openai"\nresponses = true\napi_key = "sk-upstream"\nbase_url = "http://127.0.0.1:{port}/v1"',
    "anthropic": 'type = "anthropic"\napi_key = "sk-ant-upstream"\nbase_url = "http://127.0.0.1:{port}/v1"',
    "google": 'type = "google"\napi_key = "google-upstream"\nbase_url = "http://127.0.0.1:{port}/v1beta"',
    "bedrock": 'type = "bedrock"\nregion = "us-east-1"\naccess_key_id = "AKIAUPSTREAM"\n'
    'secret_access_key = "upstream-secret"\nbase_url = "http://127.0.0.1:{port}"',
}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def dropped(self):
        """What the router says it dropped."""
        return self.headers.get("x-nexus-dropped", "")


def configuration(port, models):
    """All kinds of provider with all models."""
    lines = ["[server]", 'request_body_limit = "64MiB"']
    for name, keys in KINDS.items():
        lines += [f"[llm.providers.{name}]", keys.format(port=port)]
        lines += [f"[llm.providers.{name}.models.{json.dumps(model)}]" for model in sorted(models)]
    return "\n".join(lines)


class Nexus(Router):
    """A router that is asked on one connection."""

    def __enter__(self):
        super().__enter__()
        self.connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        return self

    def __exit__(self, *reason):
        self.connection.close()
        super().__exit__(*reason)

    def ask(self, target, body, headers=None):
        """One request, read to its end."""
        self.connection.request("POST", target, body, {"content-type": "application/json", **(headers or {})})
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def target(dialect, model, streaming, query=""):
    """Where a dialect is asked."""
    method = "streamGenerateContent" if streaming else "generateContent"
    path = {
        "openai-chat": "/v1/chat/completions",
        "openai-responses": "/v1/responses",
        "openai-embeddings": "/v1/embeddings",
        "anthropic": "/v1/messages",
        "google": f"/v1beta/models/{quote(model, safe='')}:{method}",
    }[dialect]
    return f"{path}?{query}" if query else path
