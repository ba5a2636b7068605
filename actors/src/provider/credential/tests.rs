//! The actor: when it asks, whom it lets wait, what it keeps. Time stands still here and is moved by the tests.

mod server;
mod sources;

use std::{
    collections::HashMap,
    io, mem,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{sync::mpsc, task::JoinSet, time::advance};
use tracing_subscriber::fmt::MakeWriter;

use self::server::{Answer, Server};
use super::*;

/// Nothing here takes as long, by the clock on the wall.
const NEVER: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);
/// What no text may hold.
const SECRET: &str = "topsecretvalue";

struct Rig {
    supervisor: Supervisor,
    credential: Credential,
}

impl Rig {
    async fn start(source: Source) -> Self {
        let mut supervisor = Supervisor::start("providers").await;
        let credential = Credential::spawn(&mut supervisor, "p", source).await.unwrap();
        Self { supervisor, credential }
    }

    /// An own number of the actor.
    fn own(&self, name: &str) -> i64 {
        let own = self.supervisor.gauges()[0].snapshot().own;
        own.iter().find(|(own, _)| *own == name).unwrap().1
    }

    async fn bearer(&self) -> Result<String, Unavailable> {
        self.credential.current().await.map(|opened| bearer(&opened))
    }

    /// Lets everything run that can, until it is so; time stands still.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = std::time::Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < NEVER, "never: {what}");
            tokio::task::yield_now().await;
        }
    }
}

fn bearer(opened: &Opened) -> String {
    match opened {
        Opened::Bearer(token) => token.expose().to_owned(),
        Opened::Aws(_) => panic!("a token was wanted"),
    }
}

/// Of Entra, which is one request.
fn entra(server: &Server) -> Source {
    let authority = Some(server.base.parse().unwrap());
    Source::Entra(entra::Source::new("t/1".into(), "app".into(), Secret::new(SECRET.into()), authority))
}

/// Tokens `t0`, `t1`, …
fn tokens(life: u64) -> impl Fn(&str) -> Answer {
    let count = AtomicUsize::new(0);
    move |_| {
        let n = count.fetch_add(1, Relaxed);
        Some((200, format!(r#"{{"access_token":"t{n}","expires_in":{life}}}"#)))
    }
}

/// A server that gives tokens, and the actor when it has the first.
async fn loaded(life: u64) -> (Server, Rig) {
    let server = Server::start(tokens(life)).await;
    let rig = Rig::start(entra(&server)).await;
    assert_eq!(rig.bearer().await.as_deref(), Ok("t0"));
    (server, rig)
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_wait_for_one_and_the_same_try() {
    let server = Server::start(tokens(3600)).await;
    let rig = Rig::start(entra(&server)).await;
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let credential = rig.credential.clone();
        calls.spawn(async move { credential.current().await.map(|opened| bearer(&opened)) });
    }
    for told in calls.join_all().await {
        assert_eq!(told.as_deref(), Ok("t0"));
    }
    assert_eq!((server.asked().len(), rig.own("refreshes")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_standing_credential_is_told_without_a_message() {
    let (_server, rig) = loaded(3600).await;
    let handled = rig.supervisor.gauges()[0].snapshot().handled;
    for _ in 0..100 {
        assert_eq!(rig.bearer().await.as_deref(), Ok("t0"));
    }
    assert_eq!(rig.supervisor.gauges()[0].snapshot().handled, handled);
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_renewed_ahead_of_its_expiry_and_nobody_waits() {
    let (server, rig) = loaded(3600).await;
    advance(SECOND * 3239).await;
    rig.until("its age is told", |rig| rig.own("age_seconds") == 3239).await;
    assert_eq!(server.asked().len(), 1, "six minutes ahead at the earliest");
    advance(SECOND * 62).await;
    rig.until("it is asked again", |_| server.asked().len() == 2).await;
    rig.until("the next one stands", |rig| {
        rig.credential.standing.load().as_ref().is_some_and(|standing| bearer(&standing.opened) == "t1")
    })
    .await;
    advance(SECOND).await;
    rig.until("it is young", |rig| rig.own("age_seconds") <= 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_standing_credential_until_it_expires_and_then_calls_are_refused() {
    let (server, rig) = loaded(600).await;
    server.says(|_| Some((503, SECRET.to_owned())));
    advance(SECOND * 301).await;
    rig.until("a try has failed", |rig| rig.own("failures") == 1).await;
    assert_eq!(rig.bearer().await.as_deref(), Ok("t0"));
    advance(SECOND * 298).await;
    assert_eq!(rig.bearer().await.as_deref(), Ok("t0"), "to the last second");
    rig.until("it is tried again", |rig| rig.own("failures") == 2).await;
    advance(SECOND).await;
    let refused = rig.bearer().await.unwrap_err();
    assert_eq!(refused.to_string(), "Microsoft Entra: the server answered 503");
    server.says(tokens(600));
    for _ in 0..31 {
        advance(SECOND).await;
    }
    rig.until("it recovers", |rig| rig.credential.standing.load().as_ref().unwrap().is_good(Instant::now()))
        .await;
    assert!(rig.bearer().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_in_time_and_its_callers_with_it() {
    let server = Server::start(|_| None).await;
    let rig = Rig::start(entra(&server)).await;
    let credential = rig.credential.clone();
    let call = tokio::spawn(async move { credential.current().await });
    rig.until("it was asked", |_| server.asked().len() == 1).await;
    advance(WITHIN + SECOND).await;
    let refused = call.await.unwrap().unwrap_err();
    assert!(matches!(refused, Unavailable::Late | Unavailable::Failed(_)), "{refused}");
    rig.until("the try has failed", |rig| rig.own("failures") == 1).await;
    let refused = rig.bearer().await.unwrap_err();
    assert_eq!(refused.to_string(), "Microsoft Entra: no whole answer within 5 s", "at once");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_hinders_nobody_while_a_credential_stands() {
    let (server, rig) = loaded(600).await;
    server.says(|_| None);
    advance(SECOND * 301).await;
    rig.until("it was asked", |_| server.asked().len() == 2).await;
    let before = Instant::now();
    assert_eq!(rig.bearer().await.as_deref(), Ok("t0"));
    assert_eq!(Instant::now(), before);
}

#[tokio::test(start_paused = true)]
async fn more_callers_than_may_wait_are_refused_at_once() {
    let server = Server::start(|_| None).await;
    let rig = Rig::start(entra(&server)).await;
    let (told, mut heard) = mpsc::unbounded_channel();
    for _ in 0..1025 {
        let (credential, told) = (rig.credential.clone(), told.clone());
        tokio::spawn(async move { told.send(credential.current().await.unwrap_err()) });
    }
    assert_eq!(heard.recv().await, Some(Unavailable::Crowded));
    assert!(heard.try_recv().is_err(), "the others wait");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_has_expired_when_it_comes_is_none() {
    let server = Server::start(tokens(0)).await;
    let rig = Rig::start(entra(&server)).await;
    let refused = rig.bearer().await.unwrap_err();
    assert_eq!(refused.to_string(), "the credential that was given has expired already");
}

#[tokio::test(start_paused = true)]
async fn a_dead_actor_is_started_again_and_what_stands_serves_meanwhile() {
    let (_server, rig) = loaded(3600).await;
    #[allow(clippy::disallowed_methods, reason = "the very thing that is tested")]
    rig.credential.actor().kill();
    assert_eq!(rig.bearer().await.as_deref(), Ok("t0"));
    rig.until("it runs again", |rig| rig.supervisor.gauges()[0].snapshot().restarts == 1).await;
    advance(SECOND * 3301).await;
    rig.until("it is renewed", |rig| rig.own("refreshes") == 2).await;
}

/// A log that a test can read.
#[derive(Clone)]
struct Log(mpsc::UnboundedSender<Vec<u8>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn neither_logs_nor_errors_nor_debug_tell_a_secret_that_a_server_repeats() {
    let (log, mut lines) = mpsc::unbounded_channel();
    let log = tracing_subscriber::fmt().with_writer(Log(log)).with_max_level(tracing::Level::TRACE).finish();
    let _guard = tracing::subscriber::set_default(log);
    let server = Server::start(|request| {
        assert!(request.contains(SECRET), "it was sent");
        Some((401, format!(r#"{{"error":"{SECRET}","error_description":"{SECRET}"}}"#)))
    })
    .await;
    let source = entra(&server);
    let shown = format!("{source:?}");
    let rig = Rig::start(source).await;
    let refused = rig.bearer().await.unwrap_err();
    assert_eq!(refused.to_string(), "Microsoft Entra: the server answered 401");
    server.says(|_| Some((200, format!(r#"{{"access_token":"{SECRET}","expires_in":60}}"#))));
    advance(SECOND * 2).await;
    rig.until("it has one", |rig| rig.credential.standing.load().is_some()).await;
    let opened = rig.credential.current().await.unwrap();
    let mut told = format!("{shown} {refused:?} {opened:?} {:?}", rig.credential);
    while let Ok(line) = lines.try_recv() {
        told += &String::from_utf8(line).unwrap();
    }
    assert!(told.contains("could not be renewed") && told.contains("credential renewed"), "{told}");
    assert!(!told.contains(SECRET), "{told}");
}
