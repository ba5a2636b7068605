//! Where keys come from, how often they are fetched, and what becomes of tokens meanwhile.

use std::{fs, process::Command};

use ractor::ActorCell;
use tokio::{task::JoinSet, time::advance};

use super::{
    server::{Answer, Server},
    *,
};
use crate::identity::keys::tests::ever_newer;

const SECOND: Duration = Duration::from_secs(1);

/// Identity by tokens of the server's keys, polled every `poll` seconds.
async fn start(server: &Server, poll: Option<u64>) -> Rig {
    let mut policy = policy(server.source());
    policy.poll_interval = poll.map(Duration::from_secs);
    let tokens = Tokens::Verified(policy);
    Rig::start(Rules { tokens, ..verified(server.source()) }).await
}

/// As [`start`], when the keys are there.
async fn loaded(server: &Server, poll: Option<u64>) -> Rig {
    let rig = start(server, poll).await;
    rig.until("the keys are loaded", |rig| rig.identity.is_ready()).await;
    rig
}

impl Rig {
    fn on(&self) -> &On {
        self.identity.0.as_ref().unwrap()
    }

    fn verifier(&self) -> &Verifier {
        self.on().verifier.as_ref().unwrap()
    }

    /// Kills these, and waits until they run again.
    async fn kill(&self, actors: impl Iterator<Item = ActorCell>) {
        #[allow(clippy::disallowed_methods, reason = "the very thing that is tested")]
        let killed = actors.inspect(ActorCell::kill).count();
        let restarts = |rig: &Self| -> u64 {
            rig.supervisor.gauges().iter().map(|gauges| gauges.snapshot().restarts).sum()
        };
        self.until("all were started again", |rig| restarts(rig) == killed as u64).await;
    }

    /// As [`until`](Rig::until), while the clock of the test runs.
    async fn in_time(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < NEVER, "never: {what}");
            advance(SECOND).await;
        }
    }

    async fn token(&self, kid: &str, sub: &str) -> Result<Principal, Denied> {
        self.identify(&bearer(&token(kid, sub))).await
    }

    /// So many callers at once, each with a token of its own.
    fn crowd(&self, count: usize, kid: &str) -> JoinSet<Result<Principal, IdentityError>> {
        (0..count).fold(JoinSet::new(), |mut crowd, n| {
            let (identity, headers) = (self.identity.clone(), bearer(&token(kid, &n.to_string())));
            crowd.spawn(async move { identity.identify(&headers, &peer()).await });
            crowd
        })
    }
}

#[tokio::test]
async fn two_hundred_first_tokens_wait_for_one_fetch() {
    let server = Server::start(Answer::Later).await;
    let rig = start(&server, None).await;
    assert!(!rig.identity.is_ready());
    let mut crowd = rig.crowd(200, "a");
    rig.until("all have asked", |rig| rig.number("new") == 200).await;
    server.answers(Answer::Keys(&["a"]));
    while let Some(told) = crowd.join_next().await {
        assert!(told.unwrap().is_ok());
    }
    assert_eq!((server.asked(), rig.number("fetches"), rig.number("keys")), (1, 1, 1));
    assert!(rig.identity.is_ready());
    rig.until("all are remembered", |rig| rig.number("remembered") == 200).await;
    for n in 0..200 {
        let told = rig.token("a", &n.to_string()).await;
        assert_eq!(told, of(&n.to_string()));
    }
    assert_eq!((rig.number("known"), server.asked()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn without_any_keys_tokens_get_an_error_of_ours_and_fetching_goes_on() {
    let server = Server::start(Answer::Fails).await;
    let rig = start(&server, None).await;
    rig.until("it failed", |rig| rig.number("failures") == 1).await;
    assert_eq!(rig.token("a", "alice").await, Err(Denied::NoKeys));
    assert_eq!(rig.identify(&bearer("nothing")).await, Err(Denied::MalformedToken));
    assert_eq!(rig.ask(&[]).await, Err(Denied::MissingToken));
    assert_eq!(server.asked(), 1, "tokens cause no fetch");
    for unusable in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
        let before = rig.number("failures");
        server.answers(Answer::Text(unusable));
        advance(10 * SECOND).await;
        rig.until("it failed", |rig| rig.number("failures") > before).await;
        assert!(!rig.identity.is_ready(), "{unusable}");
    }
    server.answers(Answer::Keys(&["a"]));
    advance(10 * SECOND).await;
    rig.until("the keys are loaded", |rig| rig.identity.is_ready()).await;
    assert_eq!(rig.token("a", "alice").await, of("alice"));
}

#[tokio::test(start_paused = true)]
async fn keys_rotate_without_a_failed_call() {
    let server = Server::start(Answer::Keys(&["a"])).await;
    let rig = loaded(&server, Some(60)).await;
    assert_eq!(rig.token("a", "alice").await, of("alice"));
    server.answers(Answer::Keys(&["a", "b"]));
    // Before any poll: the first token by the new key fetches it, and many do so once.
    let mut crowd = rig.crowd(50, "b");
    while let Some(told) = crowd.join_next().await {
        assert!(told.unwrap().is_ok());
    }
    assert_eq!(server.asked(), 2);
    assert_eq!(rig.token("a", "alice").await, of("alice"));
    rig.until("all are remembered", |rig| rig.number("remembered") == 51).await;
    server.answers(Answer::Keys(&["b"]));
    advance(60 * SECOND).await;
    rig.until("what the old key verified is forgotten", |rig| rig.number("remembered") == 50).await;
    assert_eq!(rig.token("b", "0").await, of("0"));
    assert_eq!(rig.token("a", "alice").await, Err(Denied::Unauthorized));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_minutes_leaves_the_last_good_keys() {
    let server = Server::start(Answer::Keys(&["a"])).await;
    let rig = loaded(&server, Some(30)).await;
    assert_eq!(rig.token("a", "known").await, of("known"));
    for (minute, outage) in
        [Answer::Fails, Answer::Text("<html>"), Answer::Text("{\"keys\":[]}")].iter().enumerate()
    {
        server.answers(outage.clone());
        for step in 0..6 {
            advance(10 * SECOND).await;
            assert_eq!(rig.token("a", "known").await, of("known"));
            assert_eq!(
                rig.token("a", &format!("new {minute}.{step}")).await,
                of(&format!("new {minute}.{step}"))
            );
        }
    }
    rig.until("polls failed", |rig| rig.number("failures") > 5).await;
    assert!(rig.identity.is_ready() && rig.number("keys") == 1);
    server.answers(Answer::Keys(&["a", "b"]));
    advance(30 * SECOND).await;
    rig.until("the keys are refreshed", |rig| rig.number("keys") == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_made_up_keys_fetches_once_in_ten_seconds_and_waits_for_nothing_else() {
    let server = Server::start(Answer::Keys(&["a"])).await;
    let rig = loaded(&server, None).await;
    for fetches in 2..6 {
        for n in 0..100 {
            assert_eq!(rig.token(&format!("made up {n}"), "x").await, Err(Denied::Unauthorized));
        }
        assert_eq!(server.asked(), fetches);
        advance(10 * SECOND).await;
    }
    assert_eq!(rig.number("remembered"), 0);
}

#[tokio::test]
async fn as_many_callers_as_wait_for_keys_are_bounded() {
    let server = Server::start(Answer::Later).await;
    let rig = start(&server, None).await;
    let mut crowd = rig.crowd(ROOM.waiting + 10, "a");
    let refused = Err(IdentityError::Unreachable(crate::Unreachable::Full));
    for _ in 0..10 {
        assert_eq!(crowd.join_next().await.unwrap().unwrap(), refused);
    }
    server.answers(Answer::Keys(&["a"]));
    while let Some(told) = crowd.join_next().await {
        assert!(told.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_of_keys_is_read_at_the_start_and_again_every_interval() {
    let path = key_file(&["a"]);
    let mut policy = policy(KeySource::File(path.clone()));
    policy.poll_interval = Some(5 * SECOND);
    let tokens = Tokens::Verified(policy);
    let rig = Rig::start(Rules { tokens, ..verified(KeySource::File(path.clone())) }).await;
    assert!(rig.identity.is_ready());
    assert_eq!(rig.token("a", "alice").await, of("alice"));
    fs::write(&path, jwks(jwk(&["b", "c"]))).unwrap();
    advance(6 * SECOND).await;
    rig.until("the file is read again", |rig| rig.number("keys") == 2).await;
    assert_eq!(rig.token("b", "bob").await, of("bob"));
    assert_eq!(rig.token("a", "alice").await, Err(Denied::Unauthorized));
    fs::write(&path, "half a fi").unwrap();
    advance(6 * SECOND).await;
    rig.until("it cannot be used", |rig| rig.number("failures") == 1).await;
    assert_eq!(rig.token("c", "carol").await, of("carol"));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_an_error_at_the_start() {
    let write = |text: &str| {
        let path = key_file(&[]);
        fs::write(&path, text).unwrap();
        path
    };
    let secret = jwks([MINT.jwk("secret")]);
    for (path, says) in [
        (PathBuf::from("/nowhere/keys.json"), "cannot be read"),
        (write("{"), "keys_file"),
        (write(&" ".repeat(2 << 20)), "larger than"),
        // Symmetric keys serve only where an algorithm asks for them.
        (write(&secret), "keys_file"),
    ] {
        let mut supervisor = Supervisor::start("identity").await;
        let rules = Some(Arc::new(verified(KeySource::File(path.clone()))));
        let error = Identity::spawn(&mut supervisor, ROOM, rules).await.unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(path.to_str().unwrap()), "{error}");
        assert!(!error.contains(&secret), "{error}");
    }
    let mut policy = policy(KeySource::File(write(&secret)));
    policy.algorithms = vec![Algorithm::HS256];
    let rig =
        Rig::start(Rules { tokens: Tokens::Verified(policy), ..verified(KeySource::File("".into())) }).await;
    let token = MINT.sound(Algorithm::HS256, &json!({"sub": "alice", "exp": FAR}));
    assert_eq!(rig.identify(&bearer(&token)).await, of("alice"));
}

#[tokio::test(start_paused = true)]
async fn actors_that_are_killed_keep_keys_and_memory() {
    let server = Server::start(Answer::Keys(&["a"])).await;
    let rig = loaded(&server, None).await;
    assert_eq!(rig.token("a", "alice").await, of("alice"));
    rig.until("it is remembered", |rig| rig.number("remembered") == 1).await;
    server.answers(Answer::Fails);
    let (on, keys) = (rig.on(), &rig.verifier().keys);
    rig.kill(on.workers.iter().map(Address::actor).chain([keys.actor()])).await;
    assert_eq!(rig.token("a", "alice").await, of("alice"));
    assert_eq!((rig.number("known"), rig.number("remembered")), (1, 1));
    assert_eq!(rig.token("a", "bob").await, of("bob"));
    assert_eq!(rig.token("b", "bob").await, Err(Denied::Unauthorized));
    assert_eq!((rig.number("failures"), rig.number("keys")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_is_killed_while_it_fetches_goes_on_refreshing() {
    let server = Server::start(Answer::Keys(&["a"])).await;
    let rig = loaded(&server, Some(60)).await;
    server.answers(Answer::Later);
    advance(60 * SECOND).await;
    rig.until("the poll is under way", |_| server.asked() == 2).await;
    rig.kill([rig.verifier().keys.actor()].into_iter()).await;
    server.answers(Answer::Keys(&["a", "b"]));
    rig.until("what it brought is taken", |rig| rig.number("keys") == 2).await;
    server.answers(Answer::Keys(&["c"]));
    advance(60 * SECOND).await;
    rig.until("it polls again", |rig| rig.number("keys") == 1).await;
    assert_eq!((rig.token("c", "carol").await, rig.number("failures")), (of("carol"), 0));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_from_nothing_the_newest_keys_are_found_again_and_not_the_first_ones() {
    let path = key_file(&["revoked"]);
    let mut policy = policy(KeySource::File(path.clone()));
    policy.poll_interval = Some(5 * SECOND);
    let tokens = Tokens::Verified(policy);
    let rig = Rig::start(Rules { tokens, ..verified(KeySource::File(path.clone())) }).await;
    assert_eq!(rig.token("revoked", "alice").await, of("alice"));
    fs::write(&path, jwks(jwk(&["a", "b"]))).unwrap();
    advance(6 * SECOND).await;
    rig.until("the file is read again", |rig| rig.number("keys") == 2).await;
    let forget_workers = || rig.on().workers.iter().for_each(|worker| worker.cast(Message::Forget));
    let asked = async |name: &str| {
        assert_eq!(rig.token("revoked", name).await, Err(Denied::Unauthorized), "{name}");
        assert_eq!(rig.token("a", name).await, of(name), "{name}");
    };
    forget_workers();
    asked("workers").await;
    rig.until("they remember again", |rig| rig.number("remembered") == 1).await;
    rig.verifier().keys.forget();
    asked("keeper").await;
    rig.verifier().keys.forget();
    forget_workers();
    asked("both").await;
    assert!(rig.identity.is_ready());
}

/// A pipe in which nothing comes is a file that takes for ever to be read, as on a disk that hangs.
#[tokio::test(start_paused = true)]
async fn a_file_that_hangs_is_given_up_and_read_again_when_it_can_be() {
    let path = key_file(&["a"]);
    let pipe = path.with_extension("pipe");
    let mut policy = policy(KeySource::File(path.clone()));
    policy.poll_interval = Some(5 * SECOND);
    let tokens = Tokens::Verified(policy);
    let rig = Rig::start(Rules { tokens, ..verified(KeySource::File(path.clone())) }).await;
    rig.until("the first keys are there", |rig| rig.number("keys") == 1).await;
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    fs::rename(&pipe, &path).unwrap();
    advance(6 * SECOND).await;
    rig.until("it is being read", |rig| rig.number("fetches") == 1).await;
    rig.in_time("it is given up", |rig| rig.number("failures") == 1).await;
    rig.in_time("no second reader waits beside the first", |rig| rig.number("failures") == 2).await;
    assert_eq!(rig.token("a", "alice").await, of("alice"));
    fs::remove_file(&path).unwrap();
    fs::write(&path, jwks(jwk(&["a", "b"]))).unwrap();
    // Ends the first reader; it may take a moment to be gone.
    drop(writer);
    let begun = Instant::now();
    while rig.number("keys") != 2 {
        assert!(begun.elapsed() < NEVER, "the file is never read again");
        let failures = rig.number("failures");
        advance(6 * SECOND).await;
        rig.until("it was tried", |rig| rig.number("failures") > failures || rig.number("keys") == 2).await;
    }
}

#[tokio::test]
async fn newer_keys_are_asked_for_only_while_they_would_be_tried() {
    let rig = Rig::start(verified(KeySource::File(key_file(&["a"])))).await;
    let mut supervisor = Supervisor::start("endless").await;
    let keys = ever_newer(&mut supervisor).await;
    let verifier = Verifier { keys, policy: policy(KeySource::File("".into())) };
    let token = token("made up", "alice");
    let digest = Digest::of(token.as_bytes());
    let bearer = Bearer { token: token.as_bytes(), digest, worker: rig.on().workers.next() };
    let told = verifier.verify(&bearer, Some(Arc::new(key_set(&["a"]))), &rig.on().rules).await;
    assert_eq!(told, Err(Denied::Unauthorized.into()));
    assert_eq!(supervisor.gauges()[0].snapshot().handled, SETS as u64 - 1);
}
