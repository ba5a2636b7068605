//! Windows in a file: what a stop, a kill, a damaged file and a second process do to them.

use std::{fs, path::Path, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::*;
use crate::support::{nexus::refuses_to_start, ports::free_address};

/// A day's limit of clients, kept in this file.
fn kept(path: &Path) -> String {
    let storage =
        format!("[server.rate_limits]\nstorage = {{ type = \"memory\", path = \"{}\" }}\n", path.display());
    format!("{storage}{IDENTIFIED}{ECHO}{}", provider_limit("echo", 1_000_000, "1d"))
}

/// What is left after one more call.
async fn remaining(nexus: &Nexus, client: &str) -> u64 {
    hello(client).send(nexus).await.fine().number("x-ratelimit-remaining-tokens")
}

#[tokio::test]
async fn a_clean_stop_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = kept(&folder.path().join("nexus.redb"));
    for calls in 0..3 {
        let mut nexus = Nexus::start(&config).await;
        for client in ["alice", "bob"] {
            assert_eq!(remaining(&nexus, client).await, 1_000_000 - (calls + 1) * HELLO, "{client}");
        }
        nexus.signal("TERM");
        assert_eq!(nexus.exit_code().await, Some(0), "{:?}", nexus.log());
    }
}

#[tokio::test]
async fn a_kill_under_load_loses_a_second_at_most() {
    const CLIENTS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let config = kept(&folder.path().join("nexus.redb"));
    let mut nexus = Nexus::start(&config).await;
    let address = nexus.address();
    // Each client calls until the server is gone, and remembers when which call was answered.
    let mut load = JoinSet::new();
    for number in 0..CLIENTS {
        load.spawn(async move {
            let mut answered = Vec::new();
            let client = format!("client-{number}");
            let mut connection = crate::support::client::Connection::http1(address).await;
            while let Ok(mut answer) = connection.open(hello(&client)).await {
                if !answer.drain().await.1 {
                    break;
                }
                answered.push(Instant::now());
            }
            (client, answered)
        });
    }
    // Longer than what may be lost: the load is what takes the time.
    tokio::time::sleep(Duration::from_secs(2)).await;
    nexus.signal("KILL");
    let killed = Instant::now();
    nexus.exit_code().await;
    let nexus = Nexus::start(&config).await;
    for (client, answered) in load.join_all().await {
        let safe = answered.iter().filter(|at| **at + Duration::from_secs(1) < killed).count() as u64;
        assert!(safe > 0, "no load");
        let spent = 1_000_000 - remaining(&nexus, &client).await - HELLO;
        let all = answered.len() as u64 + 1; // One may have been cut off on its way back.
        assert!((safe * HELLO..=all * HELLO).contains(&spent), "{client}: {safe} {spent} {all}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_and_the_server_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nexus.redb");
    let config = kept(&path);
    let mut nexus = Nexus::start(&config).await;
    let refusal = refuses_to_start(&config, free_address()).await;
    assert_eq!(refusal.code, Some(1), "{}", refusal.output);
    assert!(
        refusal.output.contains("nexus.redb' cannot be used as storage: another process holds it"),
        "{}",
        refusal.output
    );
    nexus.signal("TERM");
    nexus.exit_code().await;
    fs::write(&path, "no storage of ours").unwrap();
    let refusal = refuses_to_start(&config, free_address()).await;
    assert_eq!(refusal.code, Some(1), "{}", refusal.output);
    assert!(refusal.output.contains("nexus.redb' cannot be used as storage: "), "{}", refusal.output);
}
