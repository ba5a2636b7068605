//! Ids of calls as Anthropic takes them: `^[a-zA-Z0-9_-]+$`. Another provider's may hold dots and colons (wire facts: `functions.get:0`).

use std::borrow::Cow;

/// The id, or one that is made of it: the same for the call and its result, and different for different ids.
pub(super) fn taken(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let clean: String = id.chars().map(|c| if fits(c) { c } else { '_' }).take(40).collect();
    Cow::Owned(format!("{clean}_{:016x}", hash(id)))
}

/// FNV-1a, 64 bits: stable across runs and machines. <http://www.isthe.com/chongo/tech/comp/fnv/>
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_fits_stays_and_another_is_made_to_fit() {
        assert_eq!(taken("toolu_01-aB"), "toolu_01-aB");
        let made = taken("functions.get:0");
        assert!(made.starts_with("functions_get_0_") && made.len() <= 64, "{made}");
        assert_ne!(made, taken("functions:get.0"));
        assert_eq!(made, taken("functions.get:0"));
        assert!(taken(&"é".repeat(500)).len() <= 64);
        assert!(!taken("").is_empty());
    }
}
