//! One small document by HTTP or HTTPS, for what actors need for themselves: keys that verify tokens, for example.
//!
//! Runs in a task of its own, never in a handler: it awaits the network. Each fetch has its own connection, which is
//! closed after it. Redirects are not followed, and there is no retry: whoever fetches knows when to try again.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header::ACCEPT};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::provider::{ConnectError, Endpoint, Outgoing, Rope};

/// Bytes of the largest document.
pub(crate) const LARGEST: usize = 1 << 20;
/// From name resolution to the last byte.
pub(crate) const WITHIN: Duration = Duration::from_secs(5);

/// Why there is no document. The texts name the host at most, never a path, a key or a body.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// No connection came about.
    Connect(ConnectError),
    /// The connection broke before the document was whole.
    Broken(String),
    /// It was not whole within [`WITHIN`].
    Late,
    /// It is larger than [`LARGEST`].
    TooLarge,
    /// The server answered, but not with a document.
    Status(StatusCode),
}

/// The JSON document at `uri`, which must be on the server of `endpoint`.
///
/// # Errors
/// As [`fetch`], and [`FetchError::Status`] for every status but 200.
pub(crate) async fn document(endpoint: &Endpoint, uri: &Uri) -> Result<Bytes, FetchError> {
    let mut get = Outgoing::new(Rope::new());
    *get.uri_mut() = uri.clone();
    get.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let response = fetch(endpoint, get).await?;
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        status => Err(FetchError::Status(status)),
    }
}

/// Sends one request and reads the whole answer, whatever its status.
///
/// # Errors
/// When the answer is not whole in time, or too large.
pub(crate) async fn fetch(endpoint: &Endpoint, outgoing: Outgoing) -> Result<Response<Bytes>, FetchError> {
    timeout(WITHIN, exchange(endpoint, outgoing)).await.unwrap_or(Err(FetchError::Late))
}

async fn exchange(endpoint: &Endpoint, outgoing: Outgoing) -> Result<Response<Bytes>, FetchError> {
    let mut connection = endpoint.connect_alone().await.map_err(FetchError::Connect)?;
    let sent = connection.send(outgoing, &endpoint.authority).await;
    let (head, body) = sent.map_err(|failure| FetchError::Broken(failure.reason))?.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map_err(|error| match error.downcast_ref() {
        Some(LengthLimitError { .. }) => FetchError::TooLarge,
        None => FetchError::Broken(error.to_string()),
    })?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Broken(reason) => write!(f, "the connection broke: {reason}"),
            Self::Late => write!(f, "no whole answer within {} s", WITHIN.as_secs()),
            Self::TooLarge => write!(f, "the answer is larger than {LARGEST} bytes"),
            Self::Status(status) => write!(f, "the server answered {}", status.as_u16()),
        }
    }
}

impl std::error::Error for FetchError {}

#[cfg(test)]
mod tests {
    use std::{future::pending, net::SocketAddr};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A server that reads one request head and says `answer`; without one it stays silent. Gives back its address and,
    /// once it was asked, what it was asked.
    async fn server(answer: Option<Vec<u8>>) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let Some(answer) = answer else { return pending().await };
            // One that is refused for its size is not read to its end.
            let _ = stream.write_all(&answer).await;
            String::from_utf8(head).unwrap()
        });
        (address, asked)
    }

    fn endpoint(address: SocketAddr, within: Duration) -> (Endpoint, Uri) {
        let uri: Uri = format!("http://{address}/keys?v=1").parse().unwrap();
        (Endpoint::new(&uri, None, within).unwrap(), uri)
    }

    fn answer(status: &str, body: &[u8]) -> Option<Vec<u8>> {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        Some([head.as_bytes(), body].concat())
    }

    #[tokio::test]
    async fn a_document_is_asked_for_as_json_and_read_whole() {
        let (address, asked) = server(answer("200 OK", b"{\"keys\":[]}")).await;
        let (endpoint, uri) = endpoint(address, WITHIN);
        assert_eq!(&*document(&endpoint, &uri).await.unwrap(), b"{\"keys\":[]}");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /keys?v=1 HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.contains("accept: application/json\r\n") && asked.contains(&format!("host: {address}"))
        );
    }

    #[tokio::test]
    async fn any_status_but_200_is_no_document() {
        for status in ["404 Not Found", "302 Found", "204 No Content", "500 Oops"] {
            let (address, _asked) = server(answer(status, b"")).await;
            let (endpoint, uri) = endpoint(address, WITHIN);
            let error = document(&endpoint, &uri).await.unwrap_err();
            assert!(error.to_string().ends_with(&status[..3]), "{error}");
        }
    }

    #[tokio::test]
    async fn a_document_may_be_as_large_as_the_limit_and_no_larger() {
        for (size, fits) in [(LARGEST, true), (LARGEST + 1, false)] {
            let (address, _asked) = server(answer("200 OK", &vec![b'a'; size])).await;
            let (endpoint, uri) = endpoint(address, WITHIN);
            let told = document(&endpoint, &uri).await;
            assert!(told.is_ok() == fits && (fits || matches!(told, Err(FetchError::TooLarge))));
        }
    }

    #[tokio::test]
    async fn a_document_that_breaks_off_is_none() {
        let (address, _asked) = server(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec())).await;
        let (endpoint, uri) = endpoint(address, WITHIN);
        assert!(matches!(document(&endpoint, &uri).await, Err(FetchError::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up() {
        let (address, _asked) = server(None).await;
        let (endpoint, uri) = endpoint(address, Duration::from_secs(60));
        assert!(matches!(document(&endpoint, &uri).await, Err(FetchError::Late)));
    }
}
