"""OpenAI's embeddings, also on Azure."""

import struct
from base64 import b64encode

from model import demand

from . import Whole, openai_chat

ROUTES = [r"/embeddings$"]

KNOWN = {"model", "input", "encoding_format", "dimensions", "user"}

failure = openai_chat.failure


def answer(call, _path, _model):
    body = call.json
    openai_chat.authenticate(call)
    demand(isinstance(body, dict), "We could not parse the JSON body of your request.")
    strange = sorted(set(body) - KNOWN)
    demand(not strange, f"Unrecognized request argument supplied: {', '.join(strange)}")
    name = openai_chat.deployment(call) or body.get("model")
    demand(isinstance(name, str), "you must provide a model parameter")
    openai_chat.absent(name, openai_chat.is_azure(call))
    given = body.get("input")
    demand(given, "'$.input' is invalid.")
    texts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    data = []
    for index, text in enumerate(texts):
        vector = vector_of(text, body.get("dimensions") or 4)
        if body.get("encoding_format") == "base64":
            vector = b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return Whole(200, {"object": "list", "data": data, "model": name, "usage": usage}, openai_chat.limits(call))


def vector_of(text, dimensions):
    """Numbers that a float of 32 bits holds exactly, the length of the text first."""
    return [float(len(text)), *(0.5**at for at in range(1, dimensions))]
