"""Tokens that must never be believed are refused, each with its status and body, and leave no trace in the log."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from attacks import ATTACKS, SOUND
from keys import Jwks, Key
from router import ECHO, Router

CONFIG = """
[server.admin]
listen = "127.0.0.1:0"
[server.oauth]
url = "{jwks}"
expected_issuer = "https://id.example"
expected_audience = "nexus"
[server.client_identification]
enabled = true
client_id.jwt_claim = "sub"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A router, the keys that it trusts, those of a stranger, and a server that nobody should ever ask."""
    trusted = {"rsa": Key("RS256"), "es": Key("ES256"), "es384": Key("ES384"), "ed": Key("EdDSA")}
    stranger = SimpleNamespace(rsa=Key("RS256", name="stranger"), es=Key("ES256"))
    with Jwks(*trusted.values()) as jwks, Jwks(stranger.rsa, stranger.es) as elsewhere:
        config = CONFIG.replace("{jwks}", jwks.url) + ECHO
        with Router(tmp_path_factory.mktemp("nexus"), config, "--log", "trace") as router:
            yield SimpleNamespace(**trusted, stranger=stranger, elsewhere=elsewhere, router=router)


def attack(world, name):
    """Sends what the row makes, and holds the router to what the row says. Returns what was sent."""
    (status, body), make = ATTACKS[name]
    made = make(world)
    headers = made if isinstance(made, list) else [("authorization", f"Bearer {made}")]
    answer = world.router.say("Hello", *headers)
    assert answer.status == status, (name, answer)
    if body:
        assert answer.json() == body, name
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["www-authenticate"] == "Bearer"
    return [value.removeprefix("Bearer ") for _, value in headers]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(world, name):
    attack(world, name)


@pytest.mark.parametrize("payload", [None, SOUND + b"}"])
@pytest.mark.parametrize("key", ["rsa", "es", "es384", "ed"])
def test_what_the_attacks_start_from_is_sound(world, key, payload):
    key = getattr(world, key)
    assert world.router.bear(key.token()).status == 200
    assert world.router.bear(key.forge(payload=payload)).status == 200


@pytest.mark.parametrize(
    ("claim", "age", "status"),
    [("exp", 59, 200), ("exp", 60, 401), ("exp", 61, 401), ("nbf", -60, 200), ("nbf", -61, 401)],
)
def test_clocks_may_differ_by_a_minute(world, claim, age, status):
    for _ in range(100):
        now = int(time.time())
        answer = world.router.bear(world.ed.token(**{claim: now - age}))
        # The table holds for calls that are made and answered in one second.
        if now == int(time.time()):
            assert answer.status == status
            return
    pytest.fail("no call was answered within the second in which it was made")


def test_all_attacks_at_once_leave_no_trace(world):
    with ThreadPoolExecutor(8) as threads:
        sent = [value for values in threads.map(lambda name: attack(world, name), ATTACKS) for value in values]
    assert world.router.bear(world.rsa.token()).status == 200
    log = world.router.log()
    assert log.count("status=401") > len(ATTACKS) / 2, "a line for each call"
    assert "panic" not in log and "ERROR" not in log
    for part in (part for value in sent for part in (value, *value.split("."))):
        assert len(part) <= 16 or part not in log, "a token, or a part of one"
    status = world.router.send("GET", "/status", address=world.router.admin).json()
    assert {(actor["panics"], actor["restarts"]) for actor in status["actors"]} == {(0, 0)}
    assert world.elsewhere.fetches == 0, "no token says where keys are"
