//! What the tests stand on: the server under test, providers that follow a script, plain clients, and patience.
//!
//! Nothing here asserts a rule of the contract; it only reports what was seen. Every wait has a deadline and says what
//! it waited for.

use std::{future::Future, time::Duration};

pub(crate) mod amazon;
pub(crate) mod client;
pub(crate) mod issuer;
pub(crate) mod nexus;
pub(crate) mod ports;
pub(crate) mod redis;
pub(crate) mod setup;
pub(crate) mod tls;
pub(crate) mod upstream;

mod tests;

/// Longer than anything a healthy server on a busy machine needs; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that can only be polled.
const LOOK: Duration = Duration::from_millis(10);

/// Asks `probe` until it says yes; fails after [`PATIENCE`] with `what`.
pub(crate) async fn wait_until<F, Fut>(what: &str, probe: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    wait_longer_until(PATIENCE, what, probe).await;
}

/// Asks `probe` until it says yes; fails after `patience` with `what`.
pub(crate) async fn wait_longer_until<F, Fut>(patience: Duration, what: &str, mut probe: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let looking = async {
        while !probe().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(tokio::time::timeout(patience, looking).await.is_ok(), "waited {patience:?} in vain: {what}");
}

/// Awaits `future`; fails after [`PATIENCE`] with `what`.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}
