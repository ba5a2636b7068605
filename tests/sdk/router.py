"""A running router: the real binary on a configuration of the test's own, its log, and a plain HTTP client for it.

Headers go out as the test writes them, twice if it says so, which the clients of providers would not do.
"""

import http.client
import json
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

CHAT = "/llm/openai/v1/chat/completions"

# Seconds that anything may take on a slow machine before a test gives up.
PATIENCE = 30

ECHO = """
[llm.providers.openai]
type = "echo"
[llm.providers.openai.models."gpt-4o"]
rename = "gpt-4o-0123"
"""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)


def wait_for(what, condition):
    """Returns what `condition` returns as soon as that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return found


class Router:
    """Serves from the beginning of a `with` to its end; then it must stop cleanly."""

    def __init__(self, folder, config, *arguments):
        self.folder = Path(folder)
        (self.folder / "nexus.toml").write_text(config)
        self.arguments = arguments

    def __enter__(self):
        with open(self.folder / "log", "wb") as output:
            # The system chooses the port, and the log names it: no other process can take it in between.
            command = [os.environ["NEXUS_BINARY"], "--listen-address", "127.0.0.1:0", *self.arguments]
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            self.address = wait_for("the server to listen", lambda: self.logged("OpenAI LLM endpoint: http://"))
            self.admin = self.logged("admin endpoint: http://")
            wait_for("the server to serve", lambda: self.send("GET", "/health").status == 200)
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            assert self.process.wait(PATIENCE) == 0, f"no clean stop:\n{self.log()}"
        finally:
            self.process.kill()

    def log(self):
        return (self.folder / "log").read_text()

    def logged(self, before):
        """The address that the log names behind this text, if it does already."""
        assert self.process.poll() is None, f"the server did not start:\n{self.log()}"
        _, found, after = self.log().partition(before)
        address, end, _ = after.partition("\n")
        return address.split("/")[0] if found and end else None

    def send(self, method, target, *headers, body=None, address=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(address or self.address, timeout=PATIENCE)
        try:
            connection.putrequest(method, target)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-type", "application/json")
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def say(self, text, *headers):
        """A chat of one message."""
        call = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": text}]}
        return self.send("POST", CHAT, *headers, body=json.dumps(call).encode())

    def bear(self, token):
        """A short chat with a token."""
        return self.say("Hello", ("authorization", f"Bearer {token}"))

    def ready(self):
        """The status of `/ready`, for the operator."""
        return self.send("GET", "/ready", address=self.admin).status

    def actor(self, name):
        """The numbers of an actor, as the operator sees them."""
        actors = self.send("GET", "/status", address=self.admin).json()["actors"]
        return next(actor for actor in actors if actor["name"] == name)
