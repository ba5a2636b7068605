"""The table of attacks: what is sent, and what comes back. How it is sent is said in `test_attacks`.

A row is a name, an answer (status and body), and a function from the world (keys that are trusted, keys of a stranger,
and a server elsewhere) to a token or a list of headers. What a row is about is the only thing wrong with its token.
"""

import base64
import hmac

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keys import ago, claims, compact, encode

UNAUTHORIZED = (401, {"error": "unauthorized"})
MALFORMED = (401, {"error": "invalid_token", "error_description": "invalid token"})
TWICE = (401, {"error": "invalid_token", "error_description": "The Authorization header must be sent at most once"})
KEY_TWICE = (401, {"error": "invalid_token", "error_description": "The API key header must be sent at most once"})
TOO_LARGE = (431, None)

# Levels of nesting: those of a token that is read, of one that is too long to be read, of a head that is too large.
DEEP, DEEPER, DEEPEST = 5_000, 20_000, 100_000

# The beginning of a payload with which nothing is wrong so far.
SOUND = b'{"exp":9999999999,"iss":"https://id.example","aud":"nexus","sub":"alice"'


def forged(key="rsa", header=None, payload=None):
    """A token whose signature is sound, whatever it is of."""
    return lambda world: getattr(world, key).forge(header, payload)


def signed(alg, sign, kid=None):
    """A token for a trusted key of that kind, with the signature that `sign` makes of the world and the message."""
    header = {"alg": alg, "kid": kid or alg}
    return lambda world: compact(header, claims(), lambda message: sign(world, message))


def altered(change, key="rsa"):
    """What `change` makes of a sound token."""
    return lambda world: change(getattr(world, key).token())


def zeros(length):
    return lambda _world, _message: bytes(length)


def padded(key, before=b"", behind=b""):
    """A sound signature and more."""
    return lambda world, message: before + getattr(world, key).sign(message) + behind


def nested(levels, before, opening, closing, inmost=b""):
    return before + opening * levels + inmost + closing * levels + b"}"


def der(signature):
    """The encoding of an ECDSA signature that TLS has and tokens do not."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def plain_base64(token):
    """In the other alphabet, which differs in two characters."""
    assert "-" in token or "_" in token
    return token.replace("-", "+").replace("_", "/")


def bits_left_over(token):
    """The last character of an RSA signature carries four bits that say nothing and must be zero."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) + 1]


def with_signature_of_another(world):
    message, _ = world.rsa.token(sub="root").rsplit(".", 1)
    return f"{message}.{world.rsa.token().rsplit('.', 1)[1]}"


def without_part(number):
    def change(token):
        parts = token.split(".")
        parts[number] = ""
        return ".".join(parts)

    return change


def unsigned(alg):
    """`alg: none` in this spelling."""
    nothing, sound = zeros(0), padded("rsa")
    return {
        f"alg {alg!r} without signature": (UNAUTHORIZED, signed(alg, nothing, "RS256")),
        f"alg {alg!r} with signature": (UNAUTHORIZED, signed(alg, sound, "RS256")),
        f"alg {alg!r} in two parts": (MALFORMED, lambda world: signed(alg, nothing, "RS256")(world).removesuffix(".")),
    }


def public_key_as_secret(name, read):
    """What everybody may know of the RSA key, used as a shared secret."""
    def keyed(digest):
        return lambda world, message: hmac.digest(read(world.rsa.public), message, digest)

    return {
        f"{name} as secret of {alg}": (UNAUTHORIZED, signed(alg, keyed(digest), "RS256"))
        for alg, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"))
    }


def key_of_a_stranger(name, members):
    """The token brings along its own key, or says where it is: under a name that is trusted, and under its own."""
    return {
        f"{name} under the kid {kid}": (
            UNAUTHORIZED,
            lambda world, kid=kid: world.stranger.es.forge({"kid": kid, **members(world)}),
        )
        for kid in ("ES256", "stranger")
    }


def twice(expected, *headers):
    """Two headers; TOKEN in them is a sound one."""
    def make(world):
        token = world.ed.token()
        return [(name, value.replace("TOKEN", token)) for name, value in headers]

    return {" and ".join(f"{name}: {value}" for name, value in headers): (expected, make)}


ALGORITHMS = {
    **unsigned("none"),
    **unsigned("None"),
    **unsigned("NONE"),
    **unsigned("nOnE"),
    **unsigned(""),
    **unsigned(None),
    "alg is missing": (UNAUTHORIZED, lambda world: compact({"kid": "RS256"}, claims(), world.rsa.sign)),
    "alg is unknown": (UNAUTHORIZED, forged(header={"alg": "HS999"})),
    "alg in lower case": (UNAUTHORIZED, forged(header={"alg": "rs256"})),
    "alg is a list": (UNAUTHORIZED, forged(header={"alg": ["RS256"]})),
    "alg is another of the same type": (UNAUTHORIZED, forged(header={"alg": "RS512"})),
    "alg is of another type": (UNAUTHORIZED, forged("es", header={"alg": "EdDSA"})),
    **public_key_as_secret("PEM", lambda key: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    **public_key_as_secret("trimmed PEM", lambda key: key.public_bytes(Encoding.PEM, PublicFormat.PKCS1).strip()),
    **public_key_as_secret("DER", lambda key: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    **public_key_as_secret("modulus", lambda key: key.public_numbers().n.to_bytes(256, "big")),
    **public_key_as_secret("modulus as text", lambda key: encode(key.public_numbers().n.to_bytes(256, "big")).encode()),
    **public_key_as_secret("nothing", lambda _key: b""),
}

KEYS = {
    **key_of_a_stranger("jwk", lambda world: {"jwk": world.stranger.es.jwk()}),
    **key_of_a_stranger("jku", lambda world: {"jku": world.elsewhere.url}),
    **key_of_a_stranger("x5u", lambda world: {"x5u": world.elsewhere.url}),
    **key_of_a_stranger("x5c", lambda _world: {"x5c": [base64.b64encode(b"certificate").decode()]}),
    **key_of_a_stranger("jku and x5u", lambda world: {"jku": world.elsewhere.url, "x5u": world.elsewhere.url}),
    "kid is a URL": (UNAUTHORIZED, lambda world: world.stranger.es.forge({"kid": world.elsewhere.url})),
    "kid of another type": (UNAUTHORIZED, forged("es", header={"kid": "EdDSA"})),
    "another RSA key of the same kid": (UNAUTHORIZED, lambda world: world.stranger.rsa.token()),
    "another ES256 key of the same kid": (UNAUTHORIZED, lambda world: world.stranger.es.token()),
    "another key and no kid": (
        UNAUTHORIZED,
        lambda world: compact({"alg": "ES256"}, claims(), world.stranger.es.sign),
    ),
}

# Sound but for the name of the key.
KIDS = {
    "with a path": "../../../../dev/null",
    "with a file": "file:///proc/self/environ",
    "with quotes": "RS256\"'`",
    "with SQL": "x' UNION SELECT 'secret'; DROP TABLE keys; --",
    "with a reference": "{{ env.PATH }}",
    "with NUL": "RS256\0",
    "with line breaks": "RS256\r\nx-user-id: root",
    "of 10 KB": "k" * 10_240,
    "with a blank": "RS256 ",
    "empty": "",
    "null": None,
    "a number": 7,
    "a list": ["RS256"],
    "an object": {"kid": "RS256"},
}

# Sound but for the header, which is these bytes or has these members besides.
HEADERS = {
    "crit of a known name": (UNAUTHORIZED, {"crit": ["exp"], "exp": 9999999999}),
    "crit of an unknown name": (UNAUTHORIZED, {"crit": ["urn:example"], "urn:example": True}),
    "crit with b64": (UNAUTHORIZED, {"crit": ["b64"], "b64": False}),
    "crit empty": (UNAUTHORIZED, {"crit": []}),
    "crit null": (UNAUTHORIZED, {"crit": None}),
    "alg twice": (MALFORMED, b'{"alg":"RS256","kid":"RS256","alg":"none"}'),
    "kid twice, in disguise": (MALFORMED, b'{"alg":"RS256","kid":"RS256","k\\u0069d":"other"}'),
    "no JSON": (MALFORMED, b"alg=RS256"),
    "a list": (MALFORMED, b'["RS256"]'),
    "null": (MALFORMED, b"null"),
    "empty": (MALFORMED, b""),
    "not UTF-8": (MALFORMED, b'{"alg":"RS256","kid":"RS256","typ":"\xff"}'),
    "two objects": (MALFORMED, b'{"alg":"RS256","kid":"RS256"}{}'),
    "nested deep": (MALFORMED, b"[" * DEEP),
    "nested deeper": (MALFORMED, b"[" * DEEPER),
    "nested deepest": (TOO_LARGE, b"[" * DEEPEST),
}

# Sound but for the payload, which is these bytes or has these members besides; None leaves one out.
PAYLOADS = {
    "sub twice": (UNAUTHORIZED, SOUND + b',"sub":"root"}'),
    "exp twice": (UNAUTHORIZED, SOUND + b',"exp":9999999999}'),
    "sub twice, in disguise": (UNAUTHORIZED, SOUND + b',"s\\u0075b":"root"}'),
    "a claim within twice": (UNAUTHORIZED, SOUND + b',"roles":[{"name":"basic","name":"premium"}]}'),
    "no JSON": (UNAUTHORIZED, b"sub=alice"),
    "a list": (UNAUTHORIZED, b"[" + SOUND + b"}]"),
    "a text": (UNAUTHORIZED, b'"alice"'),
    "null": (UNAUTHORIZED, b"null"),
    "empty": (MALFORMED, b""),
    "not UTF-8": (UNAUTHORIZED, SOUND + b',"name":"\xff"}'),
    "NUL": (UNAUTHORIZED, bytes(64)),
    "unfinished": (UNAUTHORIZED, SOUND),
    "two objects": (UNAUTHORIZED, SOUND + b"}{}"),
    "byte order mark": (UNAUTHORIZED, b"\xef\xbb\xbf" + SOUND + b"}"),
    "nested deep": (UNAUTHORIZED, nested(DEEP, SOUND + b',"a":', b"[", b"]")),
    "nested deeper": (MALFORMED, nested(DEEPER, SOUND + b',"a":', b"[", b"]")),
    "nested deepest": (TOO_LARGE, nested(DEEPEST, SOUND + b',"a":', b"[", b"]")),
    "objects nested deep": (UNAUTHORIZED, nested(1_500, SOUND + b',"a":', b'{"a":', b"}", b"1")),
    "objects nested deep, open": (UNAUTHORIZED, SOUND + b',"a":' + b'{"a":' * 2_000),
    "of 60 KB": (MALFORMED, {"filler": "x" * 45_000}),
    "of 100 KB": (TOO_LARGE, {"filler": "x" * 75_000}),
    "expired long ago": (UNAUTHORIZED, {"exp": 1}),
    "expired before time": (UNAUTHORIZED, {"exp": -1}),
    "no exp": (UNAUTHORIZED, {"exp": None}),
    "exp is a text": (UNAUTHORIZED, {"exp": "9999999999"}),
    "exp is true": (UNAUTHORIZED, {"exp": True}),
    "nbf is a text": (UNAUTHORIZED, {"nbf": "0"}),
    "another issuer": (UNAUTHORIZED, {"iss": "https://id.example/"}),
    "no issuer": (UNAUTHORIZED, {"iss": None}),
    "iss is a list": (UNAUTHORIZED, {"iss": ["https://id.example"]}),
    "another audience": (UNAUTHORIZED, {"aud": "nexus2"}),
    "audiences of others": (UNAUTHORIZED, {"aud": ["nexus2", "NEXUS"]}),
    "no audience": (UNAUTHORIZED, {"aud": None}),
    "an empty list of audiences": (UNAUTHORIZED, {"aud": []}),
    "aud is an object": (UNAUTHORIZED, {"aud": {"nexus": True}}),
    "numeric sub": (UNAUTHORIZED, {"sub": 5}),
    "sub is a list": (UNAUTHORIZED, {"sub": ["alice"]}),
    "sub is an object": (UNAUTHORIZED, {"sub": {"id": "alice"}}),
}

SIGNATURES = {
    "ES256 signature of zeros": (UNAUTHORIZED, signed("ES256", zeros(64))),
    "ES384 signature of zeros": (UNAUTHORIZED, signed("ES384", zeros(96))),
    "EdDSA signature of zeros": (UNAUTHORIZED, signed("EdDSA", zeros(64))),
    "RSA signature of zeros": (UNAUTHORIZED, signed("RS256", zeros(256))),
    "RSA signature of one": (UNAUTHORIZED, signed("RS256", lambda _world, _message: bytes(255) + b"\1")),
    "ES256 signature in DER": (UNAUTHORIZED, signed("ES256", lambda world, message: der(world.es.sign(message)))),
    "a byte behind the signature": (UNAUTHORIZED, signed("ES256", padded("es", behind=b"\0"))),
    "a byte before the signature": (UNAUTHORIZED, signed("RS256", padded("rsa", before=b"\0"))),
    "the signature of another token": (UNAUTHORIZED, with_signature_of_another),
    "no signature": (UNAUTHORIZED, altered(without_part(2))),
}

SHAPES = {
    "an empty header": (MALFORMED, altered(without_part(0))),
    "an empty payload": (MALFORMED, altered(without_part(1))),
    "two empty parts": (MALFORMED, lambda _world: "."),
    "three empty parts": (MALFORMED, lambda _world: ".."),
    "no parts": (MALFORMED, lambda _world: "token"),
    "a fourth part": (MALFORMED, altered(lambda token: token + ".AAAA")),
    "an empty fourth part": (MALFORMED, altered(lambda token: token + ".")),
    "five parts": (MALFORMED, altered(lambda token: token + ".AAAA.AAAA")),
    "a second token": (MALFORMED, altered(lambda token: f"{token},{token}")),
    "a second word": (MALFORMED, altered(lambda token: token + " root")),
    "characters behind the signature": (MALFORMED, altered(lambda token: token + "AAA", "ed")),
    "padding": (MALFORMED, altered(lambda token: token + "==", "ed")),
    "padding in each part": (MALFORMED, altered(lambda token: token.replace(".", "=.") + "=")),
    "bits left over": (MALFORMED, altered(bits_left_over)),
    "the alphabet of plain base64": (MALFORMED, altered(plain_base64)),
    "dots as in a URL": (MALFORMED, altered(lambda token: token.replace(".", "%2E"))),
    "a byte that is not ASCII": (MALFORMED, altered(lambda token: token + "\xff")),
    "60 KB of letters": (MALFORMED, lambda _world: "a" * 60_000),
    "60 KB of dots": (MALFORMED, lambda _world: "." * 60_000),
    "100 KB of letters": (TOO_LARGE, lambda _world: "a" * 100_000),
}

PLACES = {
    **twice(TWICE, ("authorization", "Bearer TOKEN"), ("authorization", "Bearer TOKEN")),
    **twice(TWICE, ("authorization", "Bearer TOKEN"), ("authorization", "Bearer x")),
    **twice(TWICE, ("authorization", "Bearer x"), ("Authorization", "Bearer TOKEN")),
    **twice(TWICE, ("authorization", "Basic YTpi"), ("authorization", "Bearer TOKEN")),
    **twice(KEY_TWICE, ("x-api-key", "TOKEN"), ("x-api-key", "TOKEN")),
    **twice(KEY_TWICE, ("x-goog-api-key", "x"), ("x-goog-api-key", "TOKEN")),
    **twice(MALFORMED, ("authorization", "Bearer x"), ("x-api-key", "TOKEN")),
}

ATTACKS = {
    **ALGORITHMS,
    **KEYS,
    **{f"kid {name}": (UNAUTHORIZED, forged(header={"kid": kid})) for name, kid in KIDS.items()},
    **{f"header {name}": (answer, forged(header=header)) for name, (answer, header) in HEADERS.items()},
    **{f"payload {name}": (answer, forged(payload=payload)) for name, (answer, payload) in PAYLOADS.items()},
    "expired by 61 s": (UNAUTHORIZED, lambda world: world.es.token(exp=ago(61))),
    "not good before an hour": (UNAUTHORIZED, lambda world: world.es.token(nbf=ago(-3600))),
    **SIGNATURES,
    **SHAPES,
    **PLACES,
}
