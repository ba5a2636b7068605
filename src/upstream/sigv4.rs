//! AWS's Signature Version 4, which says who sends a request by a keyed hash of it.
//!
//! Pure: the time is an argument. Specification and test vectors:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>, the suite in <https://github.com/awslabs/aws-c-auth>.

use std::fmt::Write;

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, HOST, InvalidHeaderValue},
    request::Parts,
};

use super::query;
use crate::config::secret::Secret;

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub struct Credential<'a> {
    /// The public half of the key; it is sent as it is.
    pub access_key_id: &'a str,
    /// The other half; only hashes of it leave.
    pub secret_access_key: &'a Secret,
    /// Goes with keys that expire.
    pub session_token: Option<&'a Secret>,
}

/// For what a signature is good, besides its day.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `bedrock`.
    pub service: &'a str,
}

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Signs a request: its method, its address, its body in slices, and every header that it has at this time. Headers that someone on
/// the way may change are added afterwards. The address is absolute; `host` is taken from there and not added. Seconds
/// since 1970.
///
/// # Errors
/// When the key or the token cannot stand in a header.
pub fn sign(
    request: &mut Parts,
    body: &[Bytes],
    credential: Credential<'_>,
    scope: Scope<'_>,
    now: u64,
) -> Result<(), InvalidHeaderValue> {
    let Scope { region, service } = scope;
    let time = time(now);
    let (day, _) = time.split_once('T').unwrap_or_default();
    request.headers.insert(DATE, HeaderValue::from_str(&time)?);
    if let Some(token) = credential.session_token {
        let mut token = HeaderValue::from_str(token.expose())?;
        token.set_sensitive(true);
        request.headers.insert(TOKEN, token);
    }
    let (canonical, signed) = canonical(request, body);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash([canonical.as_bytes()]));
    let secret = format!("AWS4{}", credential.secret_access_key.expose());
    let steps = [day, region, service, "aws4_request", &text];
    let signature = steps.iter().fold(secret.into_bytes(), |key, step| keyed(&key, step.as_bytes()));
    let mut value = HeaderValue::from_str(&format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={}",
        credential.access_key_id,
        hex(&signature),
    ))?;
    value.set_sensitive(true);
    request.headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// The request in the one spelling that is signed, and the names of the headers in it.
fn canonical(request: &Parts, body: &[Bytes]) -> (String, String) {
    let authority = request.uri.authority().map_or("", |authority| authority.as_str());
    let mut headers = vec![(HOST.as_str(), authority.to_owned())];
    for name in request.headers.keys().filter(|name| **name != HOST && **name != AUTHORIZATION) {
        let values: Vec<String> = request.headers.get_all(name).iter().map(trimmed).collect();
        headers.push((name.as_str(), values.join(",")));
    }
    headers.sort_unstable();
    let signed: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let signed = signed.join(";");
    let mut canonical = format!("{}\n{}\n{}\n", request.method, path(&request.uri), query(&request.uri));
    for (name, value) in &headers {
        canonical.extend([name, ":", value, "\n"]);
    }
    canonical.extend(["\n", &signed, "\n", &hash(body.iter().map(Bytes::as_ref))]);
    (canonical, signed)
}

/// A value without blanks around it, and with single ones in it.
fn trimmed(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The path as it is in the address, percent-encoded once more: every service but S3 wants that.
fn path(uri: &Uri) -> String {
    let mut path = String::with_capacity(uri.path().len());
    query::encode(uri.path(), |byte| byte == b'/', &mut path);
    path
}

/// The parameters, sorted; they are percent-encoded already, as in the address.
fn query(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(&str, &str)> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hash<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    slices.into_iter().for_each(|slice| context.update(slice));
    hex(context.finish().as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// `20150830T123600Z`. The day by Howard Hinnant's `civil_from_days`:
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn time(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years that begin in March.
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    let year = year_of_era + 400 * era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests;
