"""How providers speak: one module for each wire, written from recordings of the real ones.

A wire has `ROUTES` (method, pattern of the path's end), `answer(call, path, model)` which gives a `Whole` or a `Stream`,
and `failure(failure, call)` which writes an error as that provider does. A wire refuses what the real one refuses.
"""

import json
from dataclasses import dataclass, field

# A key that every wire refuses.
WRONG = "wrong"

# Time of everything that is made, in seconds since 1970.
CREATED = 1_760_000_000

# A model that nobody has.
GONE = "gone"


@dataclass
class Call:
    """A request. Names of headers are in lower case, `path` is as it was sent, `query` a dictionary."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes
    json: dict | None = None

    def bearer(self):
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Whole:
    """An answer at once. It may break off in the middle."""

    status: int
    body: dict | list
    headers: dict = field(default_factory=dict)
    breaks: bool = False


@dataclass
class Stream:
    """An answer piece by piece. `breaks`: the connection ends after the last one, without an end."""

    content_type: str
    pieces: object
    headers: dict = field(default_factory=dict)
    breaks: bool = False


def compact(value):
    """JSON as providers write it on one line, UTF-8 not escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def half(pieces, reply):
    """The pieces of a text; only half of them when the reply ends early."""
    pieces = list(pieces)
    return pieces[: len(pieces) // 2] if reply.ends else pieces
