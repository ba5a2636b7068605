"""A provider that follows a script: it speaks the provider's side of every wire, as the real ones do.

    python3 provider.py [--port 0] [--script plain|agent]

prints `listening on http://127.0.0.1:PORT` and serves until it is stopped. Standard library only.

All wires are on one port, below any prefix: `…/chat/completions`, `…/responses`, `…/embeddings`, Azure's
`/openai/deployments/NAME/…` and `/openai/v1/…`, `…/messages`, `…/messages/count_tokens`, `…/models/NAME:generateContent`
and its siblings, `/model/NAME/converse` and `converse-stream`. What the model answers is said in `model.py`. Any key
is good but `wrong`; Bedrock's signatures are checked against `wires.bedrock.SECRET`; the model `gone` is not there.
`GET /__requests` lists what came in, oldest first, `DELETE /__requests` forgets it.
"""

import argparse
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from model import Failure, Model
from wires import Call, Whole, anthropic, bedrock, embeddings, gemini, openai_chat, openai_responses

WIRES = [anthropic, bedrock, gemini, openai_chat, openai_responses, embeddings]

# Requests that are remembered.
REMEMBERED = 2000


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        """Says nothing: the test's own output matters."""

    def do_GET(self):
        self.whole(Whole(200, self.server.requests) if self.path == "/__requests" else not_here())

    def do_DELETE(self):
        self.server.requests.clear()
        self.whole(Whole(200, {}))

    def do_HEAD(self):
        self.whole(Whole(200, {}))

    def do_POST(self):
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        call = Call("POST", path, dict(parse_qsl(query, keep_blank_values=True)), headers, body)
        try:
            call.json = json.loads(body)
        except ValueError:
            call.json = None
        self.server.remember(call)
        wire, found = route(path)
        if wire is None:
            self.whole(not_here())
            return
        try:
            answer = wire.answer(call, found, self.server.model)
        except Failure as failure:
            answer = wire.failure(failure, call)
        self.whole(answer) if isinstance(answer, Whole) else self.stream(answer)

    def whole(self, answer):
        data = json.dumps(answer.body, ensure_ascii=False).encode()
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if answer.breaks:
            data, self.close_connection = data[: len(data) // 2], True
        if self.command != "HEAD":
            self.wfile.write(data)

    def stream(self, answer):
        self.send_response(200)
        for name, value in {"content-type": answer.content_type, **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in answer.pieces:
            data = piece.encode() if isinstance(piece, str) else piece
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        if answer.breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


class Provider(ThreadingHTTPServer):
    """Serves from the beginning of a `with` to its end, beside the test."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port=0, script="plain"):
        super().__init__(("127.0.0.1", port), Handler)
        self.model = Model(script)
        self.requests = []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def remember(self, call):
        self.requests.append({"path": call.path, "query": call.query, "headers": call.headers, "body": call.json})
        del self.requests[:-REMEMBERED]

    def handle_error(self, request, client_address):
        """A router that hangs up is no error; anything else is one of this program and is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def route(path):
    """The wire that speaks at a path, and what of the path it looks at."""
    for wire in WIRES:
        for pattern in wire.ROUTES:
            if found := re.search(pattern, path):
                return wire, found
    return None, None


def not_here():
    return Whole(404, {"error": {"message": "no such route", "type": "invalid_request_error", "code": None}})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", choices=["plain", "agent"], default="plain")
    arguments = parser.parse_args()
    provider = Provider(arguments.port, arguments.script)
    print(f"listening on {provider.url}", flush=True)
    try:
        provider.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
