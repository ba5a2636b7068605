//! `nexus key new`: a key for a caller, and the table that lets it in. The key is kept nowhere; what the configuration
//! holds is its SHA-256.

use actors::ClientId;
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

pub(super) const EXAMPLES: &str = "\
Examples:
  nexus key new --client team-a --group premium     the key, an empty line, the table for nexus.toml
  nexus key new --client team-a > team-a.key && tail -n +3 team-a.key >> nexus.toml
                                                    the key stays in the first line of team-a.key";

/// What the holder of a key and the owner of the file do with it.
pub(super) const HINT: &str = "\
The key below is shown this once: give it to its holder, who sends it as `Authorization: Bearer`, `x-api-key` or
`x-goog-api-key`. The table goes into the configuration.
";

/// What keys begin with, so that scanners of secrets know them.
const PREFIX: &str = "nxs_";
/// Random bytes of a key.
const BYTES: usize = 32;

/// A new key: the prefix and 43 letters of base64url. `None` when the system gives no random bytes.
pub(super) fn generate() -> Option<String> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

/// The `[[server.api_keys]]` that lets a key in.
pub(super) fn table(key: &str, client: &str, group: Option<&str>) -> String {
    let group = group.map_or_else(String::new, |group| format!("group = {}\n", quoted(group)));
    let hash = digest(&SHA256, key.as_bytes());
    let digits: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[server.api_keys]]\nclient = {}\n{group}sha256 = \"{digits}\"\n", quoted(client))
}

/// A client id of the command line.
pub(super) fn client(text: &str) -> Result<String, String> {
    if text.len() > ClientId::MAX_BYTES {
        return Err(format!("longer than {} bytes", ClientId::MAX_BYTES));
    }
    name(text)
}

/// A name of the command line.
pub(super) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("empty".to_owned())
    } else if text.contains(char::is_control) {
        Err("holds a control character".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A string of TOML; it holds no control character.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
