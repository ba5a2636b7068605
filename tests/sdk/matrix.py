"""Every kind of provider behind one router, and what the tests of all SDKs ask of it.

The providers are one process that speaks every wire (`provider.py`); what it answers is said in `model.py`. `echo` is
built in: it says back what it is told.
"""

import json
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from urllib.request import Request, urlopen

import model
from wires.bedrock import SECRET

# `openai` speaks chat only, `responses` is told that its server speaks Responses too, `dated` is Azure by deployments.
SCRIPTED = ["openai", "responses", "azure", "dated", "anthropic", "google", "bedrock"]
KINDS = [*SCRIPTED, "echo"]

PROVIDERS = {
    "openai": 'type = "openai"\nbase_url = "{url}/v1"\nresponses = false',
    "responses": 'type = "openai"\nbase_url = "{url}/v1"\nresponses = true',
    "azure": 'type = "azure"\nbase_url = "{url}"',
    "dated": 'type = "azure"\nbase_url = "{url}"\napi_version = "2024-10-21"',
    "anthropic": 'type = "anthropic"\nbase_url = "{url}/v1"',
    "google": 'type = "google"\nbase_url = "{url}/v1beta"',
    "bedrock": f'type = "bedrock"\nbase_url = "{{url}}"\nregion = "eu-central-1"\nsecret_access_key = "{SECRET}"',
    "echo": 'type = "echo"',
}

# The names upstream; those of Claude say what the model takes.
NAMES = {"anthropic": "claude-sonnet-4-5", "bedrock": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"}

IDENTITY = """
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
"""

# Room for one short call, and for no other on the same day.
DAILY = 'rate_limits.per_user = { input_token_limit = 12, interval = "1d" }'

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
ASK = "What is the weather in Paris and Rome?"
ANSWER = "The tools say: rain in Paris for 7 days and rain in Rome for 7 days"

# One pixel.
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
IMAGE = b64encode(PNG).decode()
SEEN = f"I see {model.described('image/png', PNG)}."

CITY = {"city": "Oslo", "days": 7}
CITY_TEXT = '{"city": "Oslo", "days": 7}'


def weather(arguments):
    """The tool."""
    return f"rain in {arguments['city']} for {arguments['days']} days"


def says(kind, asked, scripted=model.TEXT):
    """What a kind of provider answers to a text."""
    return asked if kind == "echo" else scripted


def config(url):
    """A provider of each kind, a second one with a key that is refused, and models with limits."""
    parts = [IDENTITY]
    for kind, provider in PROVIDERS.items():
        for name, key in ((kind, "key-of-provider"), (f"{kind}-wrong", "wrong")):
            parts.append(f"[llm.providers.{name}]\n{provider.replace('{url}', url)}")
            if kind != "echo":
                parts.append(f'{"access_key_id" if kind == "bedrock" else "api_key"} = "{key}"')
            parts.append(f'models.m = {{ rename = "{NAMES.get(kind, "model-1")}" }}')
            parts.append(f'models."org/m:1" = {{ rename = "{NAMES.get(kind, "model-1")}" }}')
            parts.append('models.gone = { rename = "gone" }')
            parts.append(f"models.daily.{DAILY}")
    return "\n".join(parts)


class Scripted:
    """The provider's process, from the beginning of a `with` to its end."""

    def __enter__(self):
        command = [sys.executable, str(Path(__file__).with_name("provider.py")), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().removeprefix("listening on ").strip()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def requests(self):
        """What came in since it was forgotten, oldest first."""
        with urlopen(f"{self.url}/__requests") as answer:
            return json.load(answer)

    def forget(self):
        urlopen(Request(f"{self.url}/__requests", method="DELETE")).close()
