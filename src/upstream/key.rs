//! Whose key opens a provider: the caller's own, where the provider is told to take it, else the configured one. Pure.

use http::{HeaderMap, HeaderName};

use crate::{config::secret::Secret, error::Caller, header::Sent};

/// Where a caller puts a key of its own for the provider.
const PROVIDER_KEY: HeaderName = HeaderName::from_static("x-provider-api-key");

/// The key that a caller brings along; `None` when the configured one serves, as it does for an empty header.
///
/// # Errors
/// When there is neither, or the caller's cannot be used: then the configured one must not stand in for it.
pub fn forwarded(caller: &HeaderMap, configured: Option<&Secret>) -> Result<Option<Secret>, Caller> {
    let key = match Sent::of(caller, &PROVIDER_KEY) {
        Sent::Never => None,
        Sent::Once(key) => Some(key).filter(|key| !key.is_empty()),
        Sent::Repeatedly => {
            return Err(Caller::Key("The X-Provider-API-Key header was sent more than once"));
        }
    };
    match key {
        Some(key) if key.as_bytes().iter().all(u8::is_ascii_graphic) => {
            Ok(key.to_str().ok().map(|key| Secret::new(key.to_owned())))
        }
        Some(_) => Err(Caller::Key("The X-Provider-API-Key header holds more than visible ASCII characters")),
        None if configured.is_some_and(|key| !key.expose().is_empty()) => Ok(None),
        None => Err(Caller::Key("Token forwarding is enabled but no API key was provided")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn choose(keys: &[&[u8]], configured: Option<&str>) -> Result<Option<String>, String> {
        let name = |key: &&[u8]| (PROVIDER_KEY, HeaderValue::from_bytes(key).expect("a value"));
        let mut caller = HeaderMap::new();
        for (name, value) in keys.iter().map(name) {
            caller.append(name, value);
        }
        let configured = configured.map(|key| Secret::new(key.to_owned()));
        let key =
            forwarded(&caller, configured.as_ref()).map_err(|e| crate::error::Error::from(e).message())?;
        Ok(key.map(|key| key.expose().to_owned()))
    }

    #[test]
    fn the_callers_key_comes_before_the_configured_one() {
        for configured in [None, Some("sk-configured")] {
            assert_eq!(choose(&[b"sk-caller"], configured), Ok(Some("sk-caller".to_owned())));
        }
        for keys in [&[][..], &[b"".as_slice()]] {
            assert_eq!(choose(keys, Some("sk-configured")), Ok(None));
        }
    }

    #[test]
    fn no_key_is_refused_in_the_words_that_clients_know() {
        let known = "Authentication failed: Token forwarding is enabled but no API key was provided";
        for configured in [None, Some("")] {
            assert_eq!(choose(&[], configured), Err(known.to_owned()));
            assert_eq!(choose(&[b""], configured), Err(known.to_owned()));
        }
    }

    #[test]
    fn a_key_that_is_no_good_is_refused_even_beside_a_configured_one() {
        for keys in
            [&[b"sk-a".as_slice(), b"sk-a"][..], &[b"", b"sk-a"], &[b"a b"], &[b"a\tb"], &[b"caf\xc3\xa9"]]
        {
            let refused = choose(keys, Some("sk-configured")).expect_err("no such key");
            assert!(
                refused.starts_with("Authentication failed: The X-Provider-API-Key header "),
                "{refused}"
            );
        }
    }
}
