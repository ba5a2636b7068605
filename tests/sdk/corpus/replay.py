"""A provider that answers with a recorded body, cut into pieces as a test says, and remembers what it was asked.

Each piece is a chunk of HTTP's chunked coding: the router's parsers see exactly these pieces, however TCP delivers them.
"""

import json
import random
import re
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

# What a stream is cut into: one byte; five, across events and characters; within each character and each line end; and
# at random.
SPLITS = ("byte:1", "byte:5", "utf8", "rand:7")

# Errors of Bedrock are named in a header that recorders dropped; AWS always sends it.
AMAZON = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException"}


class Received(NamedTuple):
    """A request as it came."""

    path: str
    query: str
    headers: dict
    body: bytes


def pieces(body, split):
    """The body, cut."""
    kind, _, number = split.partition(":")
    if kind == "byte":
        cuts = range(int(number), len(body), int(number))
    elif kind == "rand":
        steps, cuts = random.Random(number), [0]
        while cuts[-1] < len(body):
            cuts.append(cuts[-1] + steps.randint(1, 40))
    elif kind == "utf8":
        within = (at for at in range(1, len(body)) if body[at] & 0xC0 == 0x80)
        ends = (found.start() + 1 for found in re.finditer(rb"\r\n|\n\n", body))
        cuts = sorted({*within, *ends})
    else:
        cuts = []
    edges = [0, *(cut for cut in cuts if 0 < cut < len(body)), len(body)]
    return [body[start:end] for start, end in zip(edges, edges[1:]) if start < end]


def reframed(exchange, query):
    """Google answers a stream as events with `alt=sse` and as a JSON array without; the recording has one of them."""
    events = exchange.content_type.startswith("text/event-stream")
    if exchange.dialect != "google" or not exchange.streamed or events == ("alt=sse" in query):
        return exchange.content_type, exchange.body
    if events:
        items = re.findall(rb"^data: (.*?)\r?$", exchange.body, re.MULTILINE)
        return "application/json; charset=UTF-8", b"[" + b"\n,\r\n".join(items) + b"\n]\n"
    items = (json.dumps(item, ensure_ascii=False).encode() for item in json.loads(exchange.body))
    return "text/event-stream", b"".join(b"data: " + item + b"\r\n\r\n" for item in items)


class Provider(ThreadingHTTPServer):
    """Answers every call with the exchange that was put on."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.exchange, self.split, self.received = None, "", []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def port(self):
        return self.server_address[1]

    def put_on(self, exchange, split=""):
        """What is answered from now on; an empty split is one piece."""
        self.exchange, self.split, self.received = exchange, split, []


class Answers(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        """Says nothing: the test's own output matters."""

    def do_POST(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers["content-length"]))
        exchange = self.server.exchange
        self.server.received.append(Received(path, query, dict(self.headers.items()), body))
        content_type, answer = reframed(exchange, query)
        self.send_response(exchange.status)
        for name, value in exchange.response_headers.items():
            if name not in ("content-type", "content-length", "content-encoding", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if exchange.dialect == "bedrock" and exchange.status in AMAZON:
            self.send_header("x-amzn-errortype", AMAZON[exchange.status])
        self.send_header("content-type", content_type)
        if exchange.streamed:
            self.send_header("transfer-encoding", "chunked")
            answer = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(answer, self.server.split))
            answer += b"0\r\n\r\n"
        else:
            self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()


def frames(body):
    """The messages of an AWS event stream: their type and payload. The checksums are not looked at."""
    found, at = [], 0
    while at < len(body):
        total, header_length = struct.unpack(">II", body[at : at + 8])
        names, end, cursor = {}, at + 12 + header_length, at + 12
        while cursor < end:
            length = body[cursor]
            name = body[cursor + 1 : cursor + 1 + length].decode()
            # Every header of these streams is a string: type 7, two bytes of length.
            (size,) = struct.unpack(">H", body[cursor + 2 + length : cursor + 4 + length])
            cursor += 4 + length
            names[name] = body[cursor : cursor + size].decode()
            cursor += size
        found.append((names.get(":event-type") or names.get(":exception-type"), body[end : at + total - 4]))
        at += total
    return found
