//! Plain clients: hyper for HTTP/1.1 and HTTP/2 by prior knowledge, a bare socket for what hyper would not send.
//!
//! Nothing is retried, followed, decoded or kept alive behind the test's back: a request opens a connection of its
//! own unless a [`Connection`] is used.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use super::{in_time, nexus::Nexus};

/// Where chat calls go.
pub(crate) const CHAT: &str = "/llm/openai/v1/chat/completions";
/// Where embeddings calls go.
pub(crate) const EMBEDDINGS: &str = "/llm/openai/v1/embeddings";
/// Where the models are listed.
pub(crate) const MODELS: &str = "/llm/openai/v1/models";

/// A request that is being put together.
#[derive(Clone)]
pub(crate) struct Request {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The members of an error in OpenAI's shape.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) message: String,
    pub(crate) kind: String,
    pub(crate) code: u64,
}

/// An answer whose body is still arriving.
pub(crate) struct Stream {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    received: BytesMut,
    connection: Option<JoinHandle<()>>,
}

/// A connection that is kept for several requests, which may overlap on HTTP/2.
pub(crate) struct Connection {
    sender: Sender,
    /// Absent in what [`Connection::share`] returned.
    driver: Option<JoinHandle<()>>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A bare socket.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Request {
    fn new(method: Method, target: &str, body: Bytes) -> Self {
        Self { method, target: target.to_owned(), headers: HeaderMap::new(), body }
    }

    /// A request without a body.
    pub(crate) fn get(target: &str) -> Self {
        Self::new(Method::GET, target, Bytes::new())
    }

    /// A JSON body as it is written here.
    pub(crate) fn post(target: &str, body: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, target, body.into()).header("content-type", "application/json")
    }

    /// A chat call with one message of the user.
    pub(crate) fn chat(model: &str, text: &str) -> Self {
        Self::post(CHAT, json!({"model": model, "messages": [{"role": "user", "content": text}]}).to_string())
    }

    /// The same, streamed.
    pub(crate) fn stream(model: &str, text: &str) -> Self {
        let messages = json!([{"role": "user", "content": text}]);
        Self::post(CHAT, json!({"model": model, "stream": true, "messages": messages}).to_string())
    }

    /// Another method.
    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Another path and query.
    pub(crate) fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// One more header; a name may come twice.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// No header of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The caller's id.
    pub(crate) fn client(self, id: &str) -> Self {
        self.header("x-user-id", id)
    }

    /// The caller's group.
    pub(crate) fn group(self, name: &str) -> Self {
        self.header("x-group-id", name)
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(self, nexus: &Nexus) -> Answer {
        self.send_to(nexus.address()).await
    }

    /// The same to any address.
    pub(crate) async fn send_to(self, address: SocketAddr) -> Answer {
        in_time("an answer", async { self.open_at(address).await.whole().await }).await
    }

    /// Sends it and reads the answer's head.
    pub(crate) async fn open(self, nexus: &Nexus) -> Stream {
        in_time("the head of an answer", self.open_at(nexus.address())).await
    }

    async fn open_at(self, address: SocketAddr) -> Stream {
        let mut connection = Connection::http1(address).await;
        let mut stream = connection.open(self).await.expect("an answer");
        stream.connection = connection.driver;
        stream
    }

    fn build(self) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse::<Uri>().unwrap();
        *request.headers_mut() = self.headers;
        request
    }
}

impl Connection {
    /// Opens one that speaks HTTP/1.1.
    pub(crate) async fn http1(address: SocketAddr) -> Self {
        Self::http1_over(connect(address).await).await
    }

    /// Opens one that speaks HTTP/2 from its first byte.
    pub(crate) async fn http2(address: SocketAddr) -> Self {
        Self::http2_over(connect(address).await).await
    }

    /// Speaks HTTP/1.1 over what is connected already.
    pub(crate) async fn http1_over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        let driver = tokio::spawn(async move {
            // A connection that ends badly shows as an error of the request or the body.
            let _ = connection.await;
        });
        Self { sender: Sender::Http1(sender), driver: Some(driver) }
    }

    /// Speaks HTTP/2 over what is connected already.
    pub(crate) async fn http2_over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
        let driver = tokio::spawn(async move {
            // As above.
            let _ = connection.await;
        });
        Self { sender: Sender::Http2(sender), driver: Some(driver) }
    }

    /// The same, of a client that grants each answer `window` bytes until it reads it.
    pub(crate) async fn http2_with_window(address: SocketAddr, window: u32) -> Self {
        let io = TokioIo::new(connect(address).await);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.initial_stream_window_size(window).handshake(io).await.unwrap();
        let driver = tokio::spawn(async move {
            // As above.
            let _ = connection.await;
        });
        Self { sender: Sender::Http2(sender), driver: Some(driver) }
    }

    /// Sends a request and reads the answer's head.
    pub(crate) async fn open(&mut self, request: Request) -> hyper::Result<Stream> {
        let mut request = request.build();
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                request.headers_mut().entry("host").or_insert(HeaderValue::from_static("nexus.test"));
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                let target = request.uri().path_and_query().unwrap().as_str();
                *request.uri_mut() = format!("http://nexus.test{target}").parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Stream {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            received: BytesMut::new(),
            connection: None,
        })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request) -> Answer {
        in_time("an answer", async { self.open(request).await.expect("an answer").whole().await }).await
    }

    /// Waits until the other side has closed it.
    pub(crate) async fn closed(self) {
        in_time("the connection to close", self.driver.expect("the first of its connection")).await.unwrap();
    }

    /// Another sender of requests over the same HTTP/2 connection.
    pub(crate) fn share(&self) -> Self {
        match &self.sender {
            Sender::Http1(_) => panic!("an HTTP/1.1 connection serves one call at a time"),
            Sender::Http2(sender) => Self { sender: Sender::Http2(sender.clone()), driver: None },
        }
    }
}

impl Stream {
    /// The next bytes of the body; `None` at a clean end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        loop {
            match in_time("more of the body", self.body.frame()).await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The next whole event, without its blank line; `None` at a clean end.
    pub(crate) async fn event(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\n\n") {
                let event = self.received.split_to(end + 2);
                return Some(String::from_utf8_lossy(&event[..end]).into_owned());
            }
            let more = self.chunk().await.expect("a body that does not break");
            self.received.extend_from_slice(&more?);
        }
    }

    /// Everything up to the end, and whether the end was clean.
    pub(crate) async fn drain(&mut self) -> (Bytes, bool) {
        loop {
            match self.chunk().await {
                Ok(Some(data)) => self.received.extend_from_slice(&data),
                Ok(None) => return (self.received.split().freeze(), true),
                Err(_) => return (self.received.split().freeze(), false),
            }
        }
    }

    /// The rest as text; the end must be clean.
    pub(crate) async fn rest(&mut self) -> String {
        let (body, clean) = self.drain().await;
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(clean, "the body broke off after: {text}");
        text
    }

    /// The rest as the texts of its `data:` lines.
    pub(crate) async fn data(&mut self) -> Vec<String> {
        data_of(&self.rest().await)
    }

    async fn whole(mut self) -> Answer {
        let body = Bytes::from(self.rest().await.into_bytes());
        Answer { status: self.status, headers: self.headers, body }
    }

    /// Closes the connection in the middle of the answer.
    pub(crate) fn hang_up(self) {
        self.connection.expect("a connection of its own").abort();
    }
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A header as a whole number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self.header(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.parse().unwrap_or_else(|_| panic!("{name}: {value} is no whole number"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The text of the first choice.
    pub(crate) fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
    }

    /// The body as an error in OpenAI's shape: these three members, the code the HTTP status.
    pub(crate) fn error(&self) -> ApiError {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error object in {self:?}"));
        let text = |name: &str| {
            error[name].as_str().unwrap_or_else(|| panic!("no text {name} in {self:?}")).to_owned()
        };
        let code = error["code"].as_u64().unwrap_or_else(|| panic!("the code is no number in {self:?}"));
        assert_eq!(code, u64::from(self.status), "the code is the status: {self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        ApiError { message: text("message"), kind: text("type"), code }
    }

    /// Asserts a refusal: status, and type of an error in OpenAI's shape.
    pub(crate) fn refused(&self, status: StatusCode, kind: &str) -> ApiError {
        assert_eq!(self.status, status.as_u16(), "{self:?}");
        let error = self.error();
        assert_eq!(error.kind, kind, "{error:?}");
        error
    }

    /// Asserts success.
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }
}

impl Raw {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(connect(address).await)
    }

    /// Connects, with as little room for what is not read yet as the system allows.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        Self(in_time("a connection", socket.connect(address)).await.unwrap())
    }

    /// Writes all of it; a closed connection is no failure here, it shows when reading.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.0.write_all(bytes.as_ref()).await;
        self
    }

    /// Writes all of it, if the other side does not cut that off.
    pub(crate) async fn can_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        in_time("room for what is sent", self.0.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Reads until the other side closes.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut received = Vec::new();
        // A reset after the answer is an end too.
        let _ = in_time("the other side to close", self.0.read_to_end(&mut received)).await;
        String::from_utf8_lossy(&received).into_owned()
    }

    /// Reads until `end` has come `times` times.
    pub(crate) async fn read_until(&mut self, end: &str, times: usize) -> String {
        let mut received = String::new();
        while received.matches(end).count() < times {
            let mut piece = [0; 4096];
            let length = in_time(end, self.0.read(&mut piece)).await.unwrap();
            assert!(length > 0, "closed after: {received}");
            received.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        received
    }

    /// Reads one whole answer and not a byte more.
    pub(crate) async fn answer(&mut self) -> Answer {
        let (status, headers) = self.head().await;
        let length =
            headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        in_time("the body of an answer", self.0.read_exact(&mut body)).await.unwrap();
        Answer { status, headers, body: body.into() }
    }

    /// Reads the head of an answer and not a byte more.
    pub(crate) async fn head(&mut self) -> (u16, HeaderMap) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match in_time("the head of an answer", self.0.read_u8()).await {
                Ok(byte) => head.push(byte),
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let parsed = |(name, value): (&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        (status, fields.map(parsed).collect())
    }

    /// Whether the other side says nothing, and stays, for so long.
    pub(crate) async fn is_silent_for(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.0.read_u8()).await.is_err()
    }

    /// Whether the other side closes within `patience`.
    pub(crate) async fn closes_within(&mut self, patience: Duration) -> bool {
        let mut received = Vec::new();
        tokio::time::timeout(patience, self.0.read_to_end(&mut received)).await.is_ok()
    }
}

/// The texts of the `data:` lines of an event stream.
pub(crate) fn data_of(stream: &str) -> Vec<String> {
    stream.lines().filter_map(|line| line.strip_prefix("data:")).map(|data| data.trim().to_owned()).collect()
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = in_time("a connection", TcpStream::connect(address)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}
