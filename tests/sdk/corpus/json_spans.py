"""Where a member of a JSON text is written."""

import json
import re

SPACE = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()


def members(text, at=0):
    """The members of the object that begins at `at`: name, start and end of the value."""
    at = SPACE.match(text, at).end()
    if at >= len(text) or text[at] != "{":
        return
    at = SPACE.match(text, at + 1).end()
    while text[at] != "}":
        name, at = DECODER.raw_decode(text, at)
        at = SPACE.match(text, at).end() + 1
        start = SPACE.match(text, at).end()
        _, end = DECODER.raw_decode(text, start)
        yield name, start, end
        at = SPACE.match(text, end).end()
        at = SPACE.match(text, at + 1).end() if text[at] == "," else at


def elements(text):
    """Start and end of the elements of the array that the text is."""
    at = text.index("[") + 1
    while text[at := SPACE.match(text, at).end()] != "]":
        _, end = DECODER.raw_decode(text, at)
        yield at, end
        at = SPACE.match(text, end).end()
        at += text[at] == ","


def spans(text, *path, at=0):
    """Start and end of the values under a path of names."""
    for name, start, end in members(text, at):
        if name == path[0]:
            if len(path) == 1:
                yield start, end
            else:
                yield from spans(text, *path[1:], at=start)


def renamed(text, new):
    """The text with every model in it that names the one that was asked for."""
    found = {
        span
        for path in (["model"], ["message", "model"], ["response", "model"], ["modelVersion"])
        for span in spans(text, *path)
    }
    for start, end in sorted(found, reverse=True):
        if text[start] == '"':
            text = text[:start] + json.dumps(new) + text[end:]
    return text
