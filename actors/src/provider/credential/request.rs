//! One small request to a server that hands out credentials.

use std::{fmt::Write, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, Uri, header::CONTENT_TYPE};

use super::Failed;
use crate::{
    fetch,
    provider::{Endpoint, Outgoing, Rope},
};

/// A request that was not sent yet. Its answer is bounded in size and time, as every [`fetch`] is.
pub(super) struct Ask {
    outgoing: Outgoing,
    /// A shorter time for the connection, where nobody may be listening.
    connect_within: Duration,
}

impl Ask {
    /// Asks at an address, which is an absolute `http` or `https` URL.
    ///
    /// # Errors
    /// When the address is none.
    pub(super) fn at(method: Method, address: &str) -> Result<Self, Failed> {
        let uri = address.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some());
        let mut outgoing = Outgoing::new(Rope::new());
        *outgoing.method_mut() = method;
        *outgoing.uri_mut() = uri.ok_or_else(|| Failed::new("its address is no URL"))?;
        Ok(Self { outgoing, connect_within: fetch::WITHIN })
    }

    /// Posts a form.
    ///
    /// # Errors
    /// When the address is none.
    pub(super) fn form(address: &str, fields: &[(&str, &str)]) -> Result<Self, Failed> {
        let mut ask = Self::at(Method::POST, address)?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        ask.outgoing.headers_mut().insert(CONTENT_TYPE, form);
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        *ask.outgoing.body_mut() = Rope::from_iter([Bytes::from(fields.join("&"))]);
        Ok(ask)
    }

    /// With one header more, whose value is not shown.
    ///
    /// # Errors
    /// When no header can carry the value.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Result<Self, Failed> {
        let value = HeaderValue::from_str(value);
        let mut value =
            value.map_err(|_| Failed::new(format!("no header `{name}` can carry what is to be sent")))?;
        value.set_sensitive(true);
        self.outgoing.headers_mut().insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// With less time to connect.
    pub(super) fn connecting_within(self, connect_within: Duration) -> Self {
        Self { connect_within, ..self }
    }

    /// Sends it, and gives the answer whatever its status.
    ///
    /// # Errors
    /// When there is no whole answer in time.
    pub(super) async fn send(self) -> Result<Response<Bytes>, Failed> {
        let endpoint = Endpoint::new(self.outgoing.uri(), None, self.connect_within);
        let endpoint = endpoint.map_err(|error| Failed::new(error.to_string()))?;
        let answer = fetch::fetch(&endpoint, self.outgoing).await;
        answer.map_err(|error| Failed::new(error.to_string()))
    }

    /// Sends it, and gives the document that an answer of status 200 is.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn document(self) -> Result<Bytes, Failed> {
        let answer = self.send().await?;
        match answer.status().as_u16() {
            200 => Ok(answer.into_body()),
            status => Err(refused(status, None)),
        }
    }
}

/// The reason that a status other than 200 is, with the known word for it that came along.
pub(super) fn refused(status: u16, word: Option<&str>) -> Failed {
    let word = word.map(|word| format!(" ({word})")).unwrap_or_default();
    Failed::new(format!("the server answered {status}{word}"))
}

/// A value as it stands in a form, or as one segment of a path (RFC 3986 §2.3: everything but the unreserved).
pub(super) fn encoded(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            // Writing to a string does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
        text
    })
}
