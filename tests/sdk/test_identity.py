"""Who calls: the snippets of the announcement as printed, with tokens and keys from their making to their limit."""

import json
import os
import subprocess

import openai
import pytest
from keys import Jwks, Key, claims, compact
from router import CHAT, ECHO, Router

CLIENT_BY_HEADER = """
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
"""

CLIENT_BY_CLAIM = """
[server.client_identification]
enabled = true
client_id.jwt_claim = "sub"
"""

GROUPS = """
[server.client_identification]
enabled = true
client_id.http_header = "X-Group-Id"
# or
group_id.jwt_claim = "grp"
[server.client_identification.validation]
group_values = ["premium", "basic"]
"""

LIMIT = """
[llm.providers.openai.rate_limits.per_user]
input_token_limit = 1000
interval = "60s"
"""

GROUP_LIMITS = """
[llm.providers.openai.rate_limits.per_user.groups.premium]
input_token_limit = 10000
interval = "60s"
[llm.providers.openai.rate_limits.per_user.groups.basic]
input_token_limit = 500
interval = "60s"
"""

LISTED_GROUPS = """
[server.client_identification.validation]
group_values = ["premium", "basic"]
"""

RESOURCE = """
[server.oauth.protected_resource]
resource = "https://nexus.example"
authorization_servers = ["https://id.example/tenant"]
"""

ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]

# The estimate of a chat that says `word ` so often is a little more: two of 260 are more than 500.
WORDS = "word " * 260

MISSING_CLIENT = {"error": "missing_client_id", "error_description": "Client identification is required"}
MISSING_GROUP = {"error": "missing_group_id", "error_description": "Group identification is required"}
INVALID_GROUP = {"error": "invalid_group", "error_description": "The specified group is not valid"}
MISSING_TOKEN = {"error": "invalid_token", "error_description": "missing token"}
UNAUTHORIZED = {"error": "unauthorized"}


@pytest.fixture(scope="module")
def issuer():
    """A key for each asymmetric algorithm, by its name."""
    return {algorithm: Key(algorithm) for algorithm in ASYMMETRIC}


@pytest.fixture(scope="module")
def jwks(issuer):
    """Where their public halves are."""
    with Jwks(*issuer.values()) as jwks:
        yield jwks


@pytest.fixture(scope="module")
def by_header(tmp_path_factory):
    """The first snippet."""
    with Router(tmp_path_factory.mktemp("nexus"), CLIENT_BY_HEADER + ECHO + LIMIT) as router:
        yield router


@pytest.fixture(scope="module")
def by_claim(tmp_path_factory, jwks):
    """The second snippet."""
    oauth = f'[server.oauth]\nurl = "{jwks.url}"\n'
    with Router(tmp_path_factory.mktemp("nexus"), oauth + RESOURCE + CLIENT_BY_CLAIM + ECHO + LIMIT) as router:
        yield router


@pytest.fixture(scope="module")
def by_group(tmp_path_factory, jwks):
    """The third snippet: both of its lines hold."""
    config = f'[server.oauth]\nurl = "{jwks.url}"\n' + GROUPS + ECHO + LIMIT + GROUP_LIMITS
    with Router(tmp_path_factory.mktemp("nexus"), config) as router:
        yield router


def sdk(router, api_key="unused", **headers):
    """The official client, with a key and headers such as a user would set."""
    base_url = f"http://{router.address}/llm/openai/v1"
    return openai.OpenAI(base_url=base_url, api_key=api_key, default_headers=headers, max_retries=0)


def chat(client, text="Hello"):
    """The limit that held and what is left of it."""
    messages = [{"role": "user", "content": text}]
    answer = client.chat.completions.with_raw_response.create(model="openai/gpt-4o", messages=messages)
    assert answer.parse().choices[0].message.content == text
    return [int(answer.headers[f"x-ratelimit-{name}-tokens"]) for name in ("limit", "remaining")]


def test_the_header_of_the_announcement_names_the_client(by_header):
    with sdk(by_header, **{"X-User-Id": "alice"}) as alice, sdk(by_header, **{"X-User-Id": "bob"}) as bob:
        assert chat(alice) == [1000, 992]
        assert chat(alice) == [1000, 984]
        assert chat(bob) == [1000, 992], "a budget of his own"
        assert chat(alice, "word " * 900)[0] == 1000
        with pytest.raises(openai.RateLimitError):
            chat(alice, "word " * 900)
    answer = by_header.say("Hello")
    assert (answer.status, answer.json()) == (400, MISSING_CLIENT)


def test_the_claim_of_the_announcement_names_the_client(by_claim, issuer):
    alice, bob = issuer["RS256"].token(sub="alice"), issuer["RS256"].token(sub="bob")
    with sdk(by_claim, alice) as client:
        assert chat(client) == [1000, 992]
        assert [model.id for model in client.models.list()] == ["openai/gpt-4o"]
    with sdk(by_claim, bob) as client:
        assert chat(client) == [1000, 992], "a budget of his own"
    with sdk(by_claim, issuer["RS256"].token(sub="alice", jti="another token")) as client:
        assert chat(client) == [1000, 984], "the budget is the client's, not the token's"
    answer = by_claim.bear(issuer["RS256"].token(sub=None))
    assert (answer.status, answer.json()) == (400, MISSING_CLIENT)


def test_groups_of_the_announcement_have_limits_of_their_own(by_group, issuer):
    def of(client, **claims):
        return sdk(by_group, issuer["ES256"].token(**claims), **{"X-Group-Id": client})

    with of("team-1", grp="premium") as client:
        assert chat(client) == [10000, 9992]
    with of("team-2", grp="basic") as client:
        assert chat(client) == [500, 492]
        assert chat(client, WORDS)[0] == 500
        with pytest.raises(openai.RateLimitError) as caught:
            chat(client, WORDS)
    assert int(caught.value.response.headers["retry-after"]) >= 1
    with of("team-2", grp="premium") as client:
        assert chat(client)[1] < 9992 - 260, "another group is another limit, on the same budget"
    with of("team-3", grp=["staff", "basic", "premium"]) as client:
        assert chat(client) == [500, 492], "the first that is listed"


@pytest.mark.parametrize(
    ("grp", "refusal"), [("gold", INVALID_GROUP), ("", INVALID_GROUP), ([], INVALID_GROUP), (None, MISSING_GROUP)]
)
def test_a_token_of_no_listed_group_is_refused(by_group, issuer, grp, refusal):
    authorization = ("authorization", f"Bearer {issuer['ES256'].token(grp=grp)}")
    answer = by_group.say("Hello", authorization, ("x-group-id", "team"))
    assert (answer.status, answer.json()) == (400, refusal)


def test_a_group_without_a_client_is_refused(by_group, issuer):
    answer = by_group.bear(issuer["ES256"].token(grp="basic"))
    assert (answer.status, answer.json()) == (400, MISSING_CLIENT)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_every_algorithm_serves_the_sdk(by_claim, issuer, algorithm):
    with sdk(by_claim, issuer[algorithm].token(sub=algorithm)) as client:
        assert chat(client) == [1000, 992]


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
def test_every_place_for_a_key_takes_a_token(by_claim, issuer, header):
    token = issuer["EdDSA"].token(sub=header)
    answer = by_claim.say("Hello", (header, f"Bearer {token}" if header == "authorization" else token))
    assert (answer.status, answer.headers["x-ratelimit-remaining-tokens"]) == (200, "992")


@pytest.mark.parametrize(
    ("headers", "description"),
    [
        ([], "missing token"),
        ([("authorization", "Bearer")], "missing token"),
        ([("authorization", "Bearer ")], "missing token"),
        ([("authorization", "")], "token must be prefixed with Bearer"),
        ([("authorization", "Basic YTpi")], "token must be prefixed with Bearer"),
        ([("authorization", "Bearer\ta.b.c")], "token must be prefixed with Bearer"),
        ([("authorization", "Bearer  a.b.c")], "invalid token"),
        ([("authorization", "Bearer sk-unused")], "invalid token"),
    ],
)
def test_a_call_without_a_token_is_told_where_to_get_one(by_claim, headers, description):
    answer = by_claim.say("Hello", *headers)
    assert (answer.status, answer.json()) == (401, {"error": "invalid_token", "error_description": description})
    assert answer.headers["content-type"] == "application/json"
    metadata = "https://nexus.example/.well-known/oauth-protected-resource"
    assert answer.headers["www-authenticate"] == f'Bearer resource_metadata="{metadata}"'


def test_the_metadata_of_the_resource_is_open(by_claim):
    answer = by_claim.send("GET", "/.well-known/oauth-protected-resource")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "resource": "https://nexus.example/",
        "authorization_servers": ["https://id.example/tenant"],
    }


def test_without_metadata_the_challenge_is_plain(by_group, by_header):
    answer = by_group.say("Hello")
    assert (answer.status, answer.json()) == (401, MISSING_TOKEN)
    assert answer.headers["www-authenticate"] == "Bearer"
    for router in (by_group, by_header):
        assert router.send("GET", "/.well-known/oauth-protected-resource").status == 404


def test_a_shared_secret_serves_only_from_a_file_whose_algorithms_name_it(tmp_path):
    secret, public = Key("HS256"), Key("ES256")
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [secret.jwk(), public.jwk()]}))
    oauth = '[server.oauth]\nkeys_file = "jwks.json"\n'
    with Router(tmp_path, f'{oauth}algorithms = ["HS256"]\n' + CLIENT_BY_CLAIM + ECHO + LIMIT) as router:
        with sdk(router, secret.token()) as client:
            assert chat(client) == [1000, 992]
        assert router.bear(public.token()).json() == UNAUTHORIZED
    with Router(tmp_path, oauth + CLIENT_BY_CLAIM + ECHO) as router:
        assert router.bear(public.token()).status == 200
        assert router.bear(secret.token()).json() == UNAUTHORIZED


def test_a_shared_secret_that_was_fetched_is_no_key(tmp_path):
    secret, public = Key("HS256"), Key("ES256")
    with Jwks(secret, public) as jwks:
        with Router(tmp_path, f'[server.oauth]\nurl = "{jwks.url}"\n' + CLIENT_BY_CLAIM + ECHO) as router:
            assert router.bear(public.token()).status == 200
            assert router.bear(secret.token()).json() == UNAUTHORIZED
            assert router.bear(compact({"alg": "HS256"}, claims(), secret.sign)).json() == UNAUTHORIZED


def new_key(*arguments):
    """The key, and the table to be pasted."""
    command = [os.environ["NEXUS_BINARY"], "key", "new", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    key, empty, table = said.split("\n", 2)
    assert key.startswith("nxs_") and empty == "" and key not in table
    return key, table


def test_a_new_key_serves_every_sdk_once_its_table_is_pasted(tmp_path):
    team_a, table_a = new_key("--client", "team-a", "--group", "premium")
    team_b, table_b = new_key("--client", "team-b", "--group", "basic")
    config = LISTED_GROUPS + table_a + table_b + ECHO + LIMIT + GROUP_LIMITS
    with Router(tmp_path, config) as router:
        with sdk(router, team_a) as client:
            assert chat(client) == [10000, 9992]
        with sdk(router, team_b) as client:
            assert chat(client) == [500, 492]
        for left, header in ((9984, "x-api-key"), (9976, "x-goog-api-key")):
            answer = router.say("Hello", (header, team_a))
            assert (answer.status, answer.headers["x-ratelimit-remaining-tokens"]) == (200, str(left))
        stolen = table_a.split('sha256 = "')[1].split('"')[0]
        for wrong in (team_a[:-1], team_a + "A", team_a.upper(), stolen, new_key("--client", "team-a")[0]):
            answer = router.bear(wrong)
            assert (answer.status, answer.json()) == (401, UNAUTHORIZED)
            assert answer.headers["www-authenticate"] == "Bearer"
        answer = router.say("Hello", ("x-user-id", "team-a"))
        assert (answer.status, answer.json()) == (401, MISSING_TOKEN)
        with sdk(router, "sk-made-up") as client, pytest.raises(openai.AuthenticationError):
            chat(client)
        assert team_a not in router.log() and team_b not in router.log()
