"""An identity provider: keys, tokens, and a server for the key set which counts who asks.

Sound tokens are minted by PyJWT. What no library would mint is put together by `compact`.
"""

import functools
import json
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from router import wait_for


@functools.cache
def rsa_key(name):
    """An RSA key takes long to make: there is one of each name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_key(algorithm, name):
    """Material for this algorithm."""
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "HS256" | "HS384" | "HS512":
            return secrets.token_bytes(64)
        case _:
            return rsa_key(name)


class Key:
    """A key for one algorithm. RSA keys of one `name` share their material."""

    def __init__(self, algorithm, kid=None, name="trusted"):
        self.algorithm, self.kid = algorithm, kid or algorithm
        self.private = private_key(algorithm, name)

    @property
    def public(self):
        return self.private.public_key()

    def jwk(self):
        """What the key set says of it."""
        shown = self.private if isinstance(self.private, bytes) else self.public
        jwk = jwt.get_algorithm_by_name(self.algorithm).to_jwk(shown, as_dict=True)
        return {**jwk, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def token(self, **more):
        """A token of `claims` and these; a claim that is None is left out."""
        return jwt.encode(claims(**more), self.private, self.algorithm, headers={"kid": self.kid})

    def sign(self, message):
        """A signature by itself."""
        return jwt.get_algorithm_by_name(self.algorithm).sign(message, self.private)

    def forge(self, header=None, payload=None):
        """A token with a sound signature of a header and a payload of any kind: members to be added, or bytes."""
        if not isinstance(header, bytes):
            header = {"alg": self.algorithm, "kid": self.kid, **(header or {})}
        return compact(header, payload if isinstance(payload, bytes) else claims(**(payload or {})), self.sign)


def claims(**more):
    """What a sound token says, for five minutes."""
    said = {"sub": "alice", "exp": ago(-300), "iss": "https://id.example", "aud": "nexus", **more}
    return {name: value for name, value in said.items() if value is not None}


def ago(seconds):
    """Unix time so many seconds ago."""
    return int(time.time()) - seconds


def encode(part):
    """Base64url without padding, of JSON unless it is bytes."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header, payload, sign):
    """The three parts, whatever they say."""
    message = f"{encode(header)}.{encode(payload)}"
    return f"{message}.{encode(sign(message.encode()))}"


class Jwks:
    """Serves a key set on a port of its own. `fetches` counts connections: the router opens one for each fetch."""

    def __init__(self, *keys):
        self.fetches, self.port = 0, 0
        self.flowing = threading.Event()
        self.flowing.set()
        self.publish(*keys)

    def publish(self, *keys):
        """These are the keys from now on."""
        self.status, self.document = 200, json.dumps({"keys": [key.jwk() for key in keys]}).encode()

    def fail(self, status, document):
        """No keys from now on."""
        self.status, self.document = status, document

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/jwks"

    def open(self):
        """Listens, on the same port as before if it did; a connection of others may have it for a moment."""
        self.server = wait_for("the port", self.bind)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def bind(self):
        """A server that listens, unless its port is taken."""
        with suppress(OSError):
            return Counting(("127.0.0.1", self.port), functools.partial(Handler, self), self)

    def close(self):
        """Whoever connects is refused."""
        self.flowing.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self.open()

    def __exit__(self, *_):
        self.close()


class Counting(ThreadingHTTPServer):
    """Counts connections for its key set, whether or not a request comes over them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address, handler, jwks):
        self.jwks = jwks
        super().__init__(address, handler)

    def verify_request(self, *_):
        self.jwks.fetches += 1
        return True

    def handle_error(self, *_):
        """Says nothing: a router that is stopped takes no answer."""


class Handler(BaseHTTPRequestHandler):
    """Answers everything with the document of its key set, as soon as that may flow."""

    def __init__(self, jwks, *rest):
        self.jwks = jwks
        super().__init__(*rest)

    def log_message(self, *_):
        """Says nothing: the test's own output matters."""

    def do_GET(self):
        self.jwks.flowing.wait()
        self.send_response(self.jwks.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.jwks.document)))
        self.end_headers()
        self.wfile.write(self.jwks.document)
