//! The actors of Nexus. They own what two requests share: verified identities, token windows, connection pools.
//!
//! ```text
//!  supervisor ─┬─ identity-0 … identity-N     who is calling            (rules, verified tokens by hash)
//!              ├─ identity-keys               what verifies tokens      (one key set, fetched and refreshed)
//!              ├─ quota-0 … quota-N           what they may still spend (windows, by client id)
//!              └─ provider-NAME-0 … -N        who serves them           (hyper connections)
//! ```
//!
//! Laws: a handler is a synchronous method on its actor's state and never awaits; it checks first and mutates last,
//! so that a panic leaves the state whole; mailboxes are bounded by permits that travel in the messages; nothing here
//! knows a chat message: actors speak HTTP, time and tokens only.
#![forbid(unsafe_code)]

pub mod address;
pub mod backoff;
mod fetch;
pub mod file;
pub mod gate;
mod guarded;
pub mod identity;
pub mod observe;
pub mod principal;
pub mod provider;
pub mod quota;
pub mod shards;
pub mod supervisor;

pub use address::{Address, Reply, Unreachable};
pub use guarded::State;
pub use principal::{ClientId, Group, Principal};
pub use shards::Shards;
pub use supervisor::Supervisor;
