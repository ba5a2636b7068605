//! Headers that must be there once: of two, nobody can say which one the next program goes by. Pure; the same for every
//! header, whatever it means.

use http::{HeaderMap, HeaderName, HeaderValue};

/// How often a header was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent<'h> {
    /// Not at all.
    Never,
    /// Once, which is the only sound way.
    Once(&'h HeaderValue),
    /// More than once, be it with the same value.
    Repeatedly,
}

impl<'h> Sent<'h> {
    /// In these headers, under this name.
    pub(crate) fn of(headers: &'h HeaderMap, name: &HeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Never,
            (Some(value), None) => Self::Once(value),
            (Some(_), Some(_)) => Self::Repeatedly,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::ORIGIN;

    use super::*;

    #[test]
    fn the_same_value_twice_is_repeated_too() {
        let (mut headers, value) = (HeaderMap::new(), HeaderValue::from_static("https://a"));
        assert_eq!(Sent::of(&headers, &ORIGIN), Sent::Never);
        headers.append(ORIGIN, value.clone());
        assert_eq!(Sent::of(&headers, &ORIGIN), Sent::Once(&value));
        headers.append(ORIGIN, value);
        assert_eq!(Sent::of(&headers, &ORIGIN), Sent::Repeatedly);
    }
}
