//! Every secret that a router uses, looked for in everything that it says: logs at `trace`, answers, metrics, what the
//! commands print, the errors of files and of starts. A leak names the secret and the place.
//!
//! Callers' secrets are not in answers either: nothing of a caller's credentials comes back. What does pass, as the
//! contract has it, is the content of a good answer, byte for byte, whatever a provider says in it.

use std::{fs, path::Path, process::Command};

use nexus::{
    config::{Config, environment::Process, render},
    route::Routes,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{
    API_KEY, COOKIE, MODES, OTHER_KEY, PASSWORD, PROVIDER_KEY, QUERY_KEY, SENT, STREAMS, Secret, VARIABLES,
    World, telling, told,
};
use crate::support::{
    client::{CHAT, Connection, Request},
    in_time,
    nexus::{Nexus, refuses_to_start},
    ports::free_address,
    setup::{ADMIN, ECHO},
    tls::{Client, file},
    upstream::{Reply, Upstream},
};

/// Models of every kind of provider.
const MODELS: [&str; 8] = [
    "plain/m",
    "keyless/m",
    "secure/m",
    "secure/m with the caller's key",
    "anthropic/m",
    "google/m",
    "azure/m",
    "bedrock/m",
];

/// What was found where it must not be.
#[derive(Default)]
struct Leaks(Vec<String>);

impl Leaks {
    /// Looks for each of the secrets in what was said somewhere.
    fn look(&mut self, secrets: &[Secret], place: &str, text: &str) {
        for (name, secret) in secrets {
            if let Some(line) = text.lines().find(|line| line.contains(secret)) {
                self.0.push(format!("{name} ({secret}) in {place}: {line}"));
            }
        }
    }

    #[track_caller]
    fn are_none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// A call with all that a caller may bring along.
fn call(model: &str, text: &str, credential: (&str, &str)) -> Request {
    let request =
        if STREAMS.contains(&text) { Request::stream(model, text) } else { Request::chat(model, text) };
    request
        .target(&format!("{CHAT}?key={QUERY_KEY}&beta=true"))
        .header(credential.0, credential.1)
        .header("cookie", format!("session={COOKIE}"))
        .header("x-goog-api-key", OTHER_KEY)
        .header("proxy-authorization", format!("Basic {PASSWORD}"))
}

/// The status, headers and body of an answer, whether or not it ends cleanly.
async fn answered(connection: &mut Connection, request: Request) -> String {
    let mut stream = in_time("the head of an answer", connection.open(request)).await.unwrap();
    let (body, _) = stream.drain().await;
    let headers: Vec<_> =
        stream.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    format!("{} {}\n{}", stream.status, headers.join("\n"), String::from_utf8_lossy(&body))
}

/// A connection of its own for each call: some of them end badly.
async fn connect(nexus: &Nexus, http2: bool) -> Connection {
    match http2 {
        true => Client::new(&["h2"]).http2(nexus.address()).await,
        false => Client::new(&["http/1.1"]).http1(nexus.address()).await,
    }
}

/// Good calls, and every way in which a provider can fail and tell why.
async fn good_calls(world: &World, nexus: &Nexus, http2: bool) -> Vec<(String, String)> {
    let bearer = |token: &str| format!("Bearer {token}");
    let credentials = [
        ("authorization", bearer(&world.good)),
        ("authorization", bearer(&world.symmetric)),
        ("authorization", bearer(API_KEY)),
        ("x-api-key", API_KEY.to_owned()),
    ];
    let mut answers = Vec::new();
    for (at, mode) in MODES.iter().chain(&STREAMS).enumerate() {
        for model in MODELS {
            let (name, value) = &credentials[at % credentials.len()];
            let (id, own) = model.split_once(' ').map_or((model, false), |(id, _)| (id, true));
            let mut request = call(id, mode, (name, value));
            if own {
                request = request.header("x-provider-api-key", PROVIDER_KEY);
            }
            let answer = answered(&mut connect(nexus, http2).await, request).await;
            answers.push((format!("the answer of {model} to `{mode}`, HTTP/2: {http2}"), answer));
        }
    }
    answers
}

/// Calls that are refused, each for another reason.
async fn refused_calls(world: &World, nexus: &Nexus, http2: bool) -> Vec<(String, String)> {
    let good = format!("Bearer {}", world.good);
    let sound = || call("plain/m", "answer", ("authorization", &good));
    let of = |credential| call("plain/m", "answer", credential);
    let requests = [
        (401, of(("x-unused", ""))),
        (401, of(("authorization", &format!("Bearer {}", world.expired)))),
        (401, of(("authorization", &format!("Bearer {}", world.forged)))),
        (401, of(("authorization", &format!("Bearer {OTHER_KEY}")))),
        (401, of(("authorization", &format!("Basic {PASSWORD}")))),
        (401, sound().header("authorization", &good)),
        (401, of(("x-api-key", OTHER_KEY)).header("x-api-key", API_KEY)),
        (404, call("plain/none", "answer", ("authorization", &good))),
        (404, sound().target(&format!("/nowhere?key={QUERY_KEY}"))),
        (405, sound().method(http::Method::GET)),
        (413, call("plain/m", &"x".repeat(20_000), ("authorization", &good))),
        (415, sound().without("content-type")),
        (429, call("gone/tight", "answer", ("authorization", &good))),
        (502, call("gone/m", "answer", ("authorization", &good))),
        (
            401,
            call("secure/m", "answer", ("authorization", &good))
                .header("x-provider-api-key", "a b")
                .header("x-provider-api-key", PROVIDER_KEY),
        ),
    ];
    let mut answers = Vec::new();
    for (status, request) in requests {
        let answer = answered(&mut connect(nexus, http2).await, request).await;
        assert!(answer.starts_with(&status.to_string()), "{status}: {answer}");
        answers.push((format!("the refusal {status}, HTTP/2: {http2}"), answer));
    }
    answers
}

/// A request that is none, and a client that breaks off.
async fn broken_calls(world: &World, nexus: &Nexus) {
    for rest in ["bad header\r\n\r\n", "content-length: 100\r\n\r\n{"] {
        let mut stream = Client::new(&["http/1.1"]).connect(nexus.address()).await.unwrap();
        let head =
            format!("POST {CHAT}?key={QUERY_KEY} HTTP/1.1\r\nauthorization: Bearer {}\r\n{rest}", world.good);
        stream.write_all(head.as_bytes()).await.unwrap();
        if rest.starts_with("bad") {
            let mut answer = Vec::new();
            let _ = in_time("the end", stream.read_to_end(&mut answer)).await;
        }
    }
}

/// What a server says, all told, while it serves these calls.
async fn served(world: &World, style: &str, leaks: &mut Leaks) {
    let (plain, secure) = (telling(false).await, telling(true).await);
    let url = |scheme: &str, upstream: &Upstream| format!("{scheme}://{}/v1", upstream.address());
    let config = world.configuration(&url("http", &plain), &url("https", &secure));
    let arguments = ["--log", "trace", "--log-style", style];
    let mut nexus = Nexus::start_tls_in(&VARIABLES, &config, &arguments).await;
    let secrets = world.secrets();
    for http2 in [false, true] {
        let good = good_calls(world, &nexus, http2).await;
        assert!(good.iter().any(|(_, answer)| answer.starts_with("200")), "{good:?}");
        for (place, answer) in good.into_iter().chain(refused_calls(world, &nexus, http2).await) {
            leaks.look(&secrets, &place, &answer);
        }
    }
    broken_calls(world, &nexus).await;
    for page in ["/metrics", "/status", "/ready", "/live"] {
        let answer = Request::get(page).send_to(nexus.admin()).await.fine();
        leaks.look(&secrets, page, &format!("{:?}\n{}", answer.headers, answer.text()));
    }
    nexus.signal("TERM");
    nexus.exit_code().await;
    let log = nexus.log();
    leaks.look(&secrets, &format!("the log ({style})"), &log.join("\n"));
    of_the_router_alone(&log, style, leaks);
    // What was looked for in the answers was there to be told, and what was for the router alone was not.
    let sent: String =
        [plain, secure].iter().flat_map(|upstream| upstream.seen().calls).map(|call| told(&call)).collect();
    for (name, secret) in &world.of_the_operator()[..SENT] {
        assert!(sent.contains(secret), "{name} did not go upstream");
    }
    assert!(sent.contains(PROVIDER_KEY));
    let kept: Vec<_> = world.of_callers().into_iter().filter(|(_, secret)| secret != PROVIDER_KEY).collect();
    leaks.look(&[&world.of_the_operator()[SENT..], &kept].concat(), "what the provider was sent", &sent);
}

/// The log was at its most verbose, and no library wrote below a warning: those print headers and frames.
fn of_the_router_alone(log: &[String], style: &str, leaks: &mut Leaks) {
    assert!(log.iter().any(|line| line.contains("DEBUG")), "{log:?}");
    for line in log.iter().filter(|line| ["TRACE", "DEBUG", "INFO"].iter().any(|level| line.contains(level)))
    {
        let own = match style {
            "json" => ["\"target\":\"nexus", "\"target\":\"actors"],
            _ => [" nexus", " actors"],
        };
        if !own.iter().any(|target| line.contains(target)) {
            leaks.0.push(format!("a library writes: {line}"));
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_anything_a_server_says_with_its_log_as_text() {
    let (world, mut leaks) = (World::new(), Leaks::default());
    served(&world, "text", &mut leaks).await;
    leaks.are_none();
}

#[tokio::test]
async fn no_secret_is_in_anything_a_server_says_with_its_log_as_json() {
    let (world, mut leaks) = (World::new(), Leaks::default());
    served(&world, "json", &mut leaks).await;
    leaks.are_none();
}

#[test]
fn no_secret_is_in_what_the_commands_say() {
    let (world, mut leaks) = (World::new(), Leaks::default());
    let config = world.configuration("http://127.0.0.1:1/v1", "https://127.0.0.1:1/v1");
    let config = config.replace("{admin}", "127.0.0.1:0");
    fs::write(world.folder.path().join("nexus.toml"), config).unwrap();
    let explain = ["explain", "--client", "alice", "--model", "plain/m", "--tokens", "3"];
    for arguments in [&["check"][..], &["check", "--format", "json"], &["check", "--no-env"], &explain] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
        command.current_dir(world.folder.path()).env_clear().envs(VARIABLES).args(arguments);
        let output = command.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {said}");
        leaks.look(&world.secrets(), &format!("{arguments:?}"), &said);
    }
    leaks.are_none();
}

#[test]
fn no_secret_is_in_debug() {
    let (world, mut leaks) = (World::new(), Leaks::default());
    let read = Config::read(Path::new("nexus.toml"), &world.written_out(), &Process::default());
    let (config, report) = read.unwrap_or_else(|report| panic!("{}", render::text(&report, false)));
    let secrets = world.secrets();
    leaks.look(&secrets, "Config", &format!("{config:?}"));
    leaks.look(&secrets, "Rules", &format!("{:?}", config.identification));
    leaks.look(&secrets, "Report", &format!("{report:?}"));
    leaks.look(&secrets, "Routes", &format!("{:?}", Routes::new(&config)));
    leaks.are_none();
}

/// A JWKS at a server that wants a key, as some do, and is not there.
#[tokio::test]
async fn the_key_in_the_url_of_a_jwks_is_told_to_its_server_alone() {
    let secret = "key-of-a-jwks-14";
    let server = Upstream::always(move || Reply::status(401).body(secret)).await;
    let oauth = format!("[server.oauth]\nurl = \"http://{}/jwks?key={secret}\"\n", server.address());
    let claims = "[server.client_identification]\nenabled = true\nclient_id.jwt_claim = \"sub\"\n";
    let config = format!("{oauth}{claims}{ADMIN}{ECHO}");
    let mut leaks = Leaks::default();
    let secrets = [("the key of a JWKS", secret.to_owned())];
    let (read, _) =
        Config::read(Path::new("n"), &config.replace("{admin}", "127.0.0.1:0"), &Process::default())
            .unwrap_or_else(|report| panic!("{}", render::text(&report, false)));
    leaks.look(&secrets, "Config", &format!("{read:?}"));
    let mut nexus = Nexus::start_with(&config, &["--log", "trace"]).await;
    server.until("a fetch", |seen| !seen.calls.is_empty()).await;
    assert!(server.last().uri.to_string().contains(secret));
    nexus.logged(1, |line| line.contains("keys could not be refreshed")).await;
    let token =
        Request::chat("echo/m", "Hi").header("authorization", "Bearer e30.e30.e30").send(&nexus).await;
    leaks.look(&secrets, "an answer", &format!("{token:?}"));
    nexus.signal("TERM");
    nexus.exit_code().await;
    leaks.look(&secrets, "the log", &nexus.log().join("\n"));
    leaks.are_none();
}

/// Ways to get the line of a secret wrong.
fn broken(line: &str) -> Vec<String> {
    let Some((key, value)) = line.split_once(" = ") else { return Vec::new() };
    let bare = value.trim_matches('"');
    let values = [
        bare.to_owned(),
        format!("\"{bare}"),
        format!("{bare}\""),
        format!("'{bare}"),
        format!("\"\"\"{bare}"),
        format!("[{value}]"),
        format!("{{ a = {value} }}"),
        format!("{{ {bare} }}"),
        format!("{value} {value}"),
        format!("{value}, {value}"),
        format!("\"\\q{bare}\""),
        format!("\"{{{{ {bare} }}}}\""),
        format!("\"{{{{ env.{bare} }}\""),
        format!("\"{bare}\\n\""),
    ];
    let mut lines: Vec<_> = values.iter().map(|value| format!("{key} = {value}")).collect();
    lines.extend(["api_kee", "a.b"].map(|key| format!("{key} = {value}")));
    // Under a key of another kind, plain text is shown, as the contract has it; what comes out of `{{ }}` is not.
    let others =
        ["type", "base_url", "listen", "idle_timeout", "rename", "allow", "max_in_flight", "pattern"];
    lines.extend(others.map(|key| format!("{key} = \"{{{{ env.NEXUS_TEST_NONE | {bare} }}}}\"")));
    lines.extend([format!("{line}\n{line}"), value.to_owned(), format!("{key} {value}")]);
    lines
}

#[test]
fn no_secret_is_in_the_problems_of_a_file() {
    let (world, mut leaks) = (World::new(), Leaks::default());
    let (text, secrets) = (world.written_out(), world.secrets());
    let holding = text.lines().filter(|line| secrets.iter().any(|(_, secret)| line.contains(secret)));
    let holding: Vec<_> = holding.collect();
    assert!(holding.len() >= 9, "{holding:?}");
    for line in holding {
        for wrong in broken(line) {
            let Err(report) =
                Config::read(Path::new("n"), &text.replacen(line, &wrong, 1), &Process::default())
            else {
                continue;
            };
            for said in [render::text(&report, false), render::json(&report), format!("{report:?}")] {
                leaks.look(&secrets, &format!("the problems of `{wrong}`"), &said);
            }
        }
    }
    leaks.are_none();
}

/// Files in each other's places, and files that are broken.
#[tokio::test]
async fn no_secret_is_in_the_errors_of_a_start() {
    let (world, mut leaks) = (World::new(), Leaks::default());
    let (key, symmetric) = (file("edge_ec.key").display().to_string(), world.issuer.encoded_secret());
    let pem = fs::read_to_string(&key).unwrap();
    let wrong = [
        ("torn.key", pem.replacen("\n-----END", "!\n-----END", 1)),
        ("cut.key", pem.lines().take(2).collect::<Vec<_>>().join("\n")),
        ("torn.json", world.issuer.jwks().replace("\"}]}", "\"}]")),
        ("short.json", format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":\"{}\"}}]}}", &symmetric[..20])),
        ("odd.json", format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":\"!{symmetric}\"}}]}}")),
        ("list.json", format!("[\"{symmetric}\"]")),
        ("lines.key", "sk-of-a-file-4\nsk-of-a-file-4".to_owned()),
    ];
    for (name, text) in &wrong {
        fs::write(world.folder.path().join(name), text).unwrap();
    }
    let good = world.written_out();
    let certificate = file("edge_ec.pem").display().to_string();
    let (jwks, mut secrets) = (world.path("jwks.json"), world.secrets());
    secrets.push(("the beginning of the symmetric key", symmetric[..20].to_owned()));
    let changes = [
        (certificate.clone(), key.clone()),
        (key.clone(), certificate),
        (key.clone(), jwks.clone()),
        (key.clone(), world.path("torn.key")),
        (key.clone(), world.path("cut.key")),
        ("[server.oauth]".to_owned(), format!("client_ca = \"{key}\"\n[server.oauth]")),
        (jwks.clone(), key),
        (jwks.clone(), world.path("provider.key")),
        (jwks.clone(), world.path("torn.json")),
        (jwks.clone(), world.path("short.json")),
        (jwks.clone(), world.path("odd.json")),
        (jwks, world.path("list.json")),
        (
            "api_key = \"sk-of-a-file-4\"".to_owned(),
            format!("api_key = \"{{{{ file.{} }}}}\"", world.path("lines.key")),
        ),
    ];
    for (from, to) in changes {
        let config = good.replacen(&from, &to, 1);
        assert_ne!(config, good, "{from}");
        let refusal = refuses_to_start(&config, free_address()).await;
        assert_eq!(refusal.code, Some(1), "{to}: {}", refusal.output);
        leaks.look(&secrets, &format!("the errors of a start with {to}"), &refusal.output);
    }
    leaks.are_none();
}
