"""Keys come and go, and so does their server: no call fails for it, and no caller makes the router ask too often."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import pytest
from keys import Jwks, Key
from router import ECHO, Router, wait_for

CONFIG = """
[server.admin]
listen = "127.0.0.1:0"
[server.client_identification]
enabled = true
client_id.jwt_claim = "sub"
[server.oauth]
"""

NO_KEYS = {"error": "internal_server_error", "error_description": "An internal error occurred"}

CALLERS = 8


def start(folder, jwks, poll_interval=None):
    """A router with keys from there."""
    poll = f'poll_interval = "{poll_interval}"\n' if poll_interval else ""
    return Router(folder, f'{CONFIG}url = "{jwks.url}"\n{poll}{ECHO}')


class Callers:
    """Threads that call without a pause, each call with a new token or the last one again, and note what fails."""

    def __init__(self, router, key):
        self.router, self.key = router, key
        self.failed, self.rounds = [], [0] * CALLERS
        self.stopped = threading.Event()

    def call(self, caller):
        """Each token is used three times: new, then remembered."""
        for number in count():
            if self.stopped.is_set():
                return
            token = self.key.token(sub=f"caller-{caller}", jti=str(number))
            for _ in range(3):
                answer = self.router.bear(token)
                if answer.status != 200:
                    self.failed.append(answer)
            self.rounds[caller] = number + 1

    def go_round(self):
        """Returns when every caller has begun and ended a token since."""
        before = list(self.rounds)
        wait_for("every caller", lambda: all(now > old + 1 for now, old in zip(self.rounds, before)))
        assert self.failed == []


@contextmanager
def calling(router, key):
    """Runs the callers, and holds that none of their calls has failed."""
    callers = Callers(router, key)
    with ThreadPoolExecutor(CALLERS) as threads:
        running = [threads.submit(callers.call, caller) for caller in range(CALLERS)]
        try:
            yield callers
        finally:
            callers.stopped.set()
    for caller in running:
        caller.result()
    assert callers.failed == []


def test_a_rotation_fails_no_call(tmp_path):
    old, new = Key("RS256", "old"), Key("ES256", "new")
    with Jwks(old) as jwks, start(tmp_path, jwks, "1s") as router, calling(router, old) as callers:
        last = old.token(sub="last")
        assert router.bear(last).status == 200
        callers.go_round()
        jwks.publish(old, new)
        callers.key = new
        callers.go_round()
        assert router.bear(last).status == 200, "while it is published"
        jwks.publish(new)
        wait_for("the old key to be forgotten", lambda: router.bear(last).status == 401)
        assert router.bear(old.token()).status == 401
        callers.go_round()


def test_a_new_key_is_fetched_for_its_first_tokens_once(tmp_path):
    old, new = Key("EdDSA", "old"), Key("EdDSA", "new")
    with Jwks(old) as jwks, start(tmp_path, jwks) as router, calling(router, old) as callers:
        callers.go_round()
        assert jwks.fetches == 1
        jwks.publish(old, new)
        callers.key = new
        callers.go_round()
        assert jwks.fetches == 2


def test_an_outage_fails_no_call_of_known_keys(tmp_path):
    key, new = Key("EdDSA"), Key("EdDSA", "new")

    def poll(router, times):
        """As many polls as would take minutes with the intervals that people configure."""
        before = router.actor("identity-keys")["failures"]
        wait_for("polls to fail", lambda: router.actor("identity-keys")["failures"] >= before + times)

    with Jwks(key) as jwks, start(tmp_path, jwks, "1s") as router, calling(router, key) as callers:
        callers.go_round()
        jwks.close()
        poll(router, 2)
        jwks.fail(200, b'{"keys":[]}')
        jwks.open()
        for status, document in ((200, b"<html>back soon</html>"), (503, b"{}")):
            poll(router, 1)
            jwks.fail(status, document)
        poll(router, 1)
        assert router.ready() == 200, "there are keys"
        assert router.bear(new.token()).status == 401, "not one of them"
        callers.go_round()
        jwks.publish(key, new)
        wait_for("the new key", lambda: router.bear(new.token()).status == 200)
        callers.go_round()
    assert "the last good ones are kept" in router.log()


def test_two_hundred_first_tokens_fetch_once(tmp_path):
    keys = [Key("EdDSA"), Key("ES256")]
    tokens = [keys[number % 2].token(sub=f"client-{number}") for number in range(200)]
    with Jwks(*keys) as jwks:
        jwks.flowing.clear()
        with start(tmp_path, jwks) as router, ThreadPoolExecutor(len(tokens)) as threads:
            calls = [threads.submit(router.bear, token) for token in tokens]
            # One message to begin, then one of each caller who waits.
            wait_for("all to wait", lambda: router.actor("identity-keys")["handled"] > len(tokens))
            assert not any(call.done() for call in calls)
            jwks.flowing.set()
            assert {call.result().status for call in calls} == {200}
            assert jwks.fetches == 1


def test_a_stream_of_unknown_names_fetches_at_most_once_in_ten_seconds(tmp_path):
    key, stranger = Key("EdDSA"), Key("EdDSA", "stranger")
    with Jwks(key) as jwks, start(tmp_path, jwks) as router:
        assert router.bear(key.token()).status == 200
        began = time.monotonic()

        def attack(attacker):
            sent = 0
            while time.monotonic() - began < 2:
                assert router.bear(stranger.forge({"kid": f"{attacker}-{sent}"})).status == 401
                sent += 1
            return sent

        with ThreadPoolExecutor(4) as threads, calling(router, key) as callers:
            sent = sum(threads.map(attack, range(4)))
            callers.go_round()
        assert sent > 20
        assert 2 <= jwks.fetches <= 2 + (time.monotonic() - began) // 10, "one at the start, one for all of them"


def test_without_keys_tokens_wait_for_the_operator_and_recover_by_themselves(tmp_path):
    key = Key("EdDSA")
    jwks = Jwks(key).open()
    jwks.close()
    with start(tmp_path, jwks) as router:
        answer = router.bear(key.token())
        assert (answer.status, answer.json()) == (500, NO_KEYS)
        assert (answer.headers["content-type"], answer.headers["www-authenticate"]) == ("application/json", "Bearer")
        assert router.bear("no token").status == 401, "needs no keys to be refused"
        assert router.say("Hello").status == 401
        assert router.ready() == 503
        assert router.send("GET", "/live", address=router.admin).status == 200
        assert router.send("GET", "/health").status == 200
        with jwks:
            began = time.monotonic()
            wait_for("keys", lambda: router.bear(key.token()).status == 200)
            assert time.monotonic() - began < 10
            assert router.ready() == 200
