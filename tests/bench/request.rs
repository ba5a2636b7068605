//! A whole request in one process: client, router, all seven steps and the built-in provider, over loopback sockets.
//!
//! `cargo bench --bench request`. The client and the sockets are part of the figure; compare it with itself only.

// A bench that cannot go on says why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{future::pending, path::Path};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use nexus::{
    app::App,
    config::{Config, environment::Process},
};
use tokio::{net::TcpStream, runtime::Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONFIG: &str = r#"
[server]
listen_address = "127.0.0.1:0"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
[llm.providers.echo]
type = "echo"
[llm.providers.echo.models.m]
[llm.providers.echo.rate_limits.per_user]
input_token_limit = 1_000_000_000_000
interval = "1h"
"#;

fn main() {
    divan::main();
}

/// A client with one kept-alive connection to a router of its own.
struct Client {
    runtime: Runtime,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Client {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let (config, _) = Config::read(Path::new("bench.toml"), CONFIG, &Process::default()).unwrap();
            let app = App::build(config).await.unwrap();
            let address = app.address().unwrap();
            tokio::spawn(app.run(async || pending().await));
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    fn send(&mut self, body: &Bytes) -> usize {
        let request = Request::post("/llm/openai/v1/chat/completions")
            .header("host", "bench")
            .header("content-type", "application/json")
            .header("x-user-id", "alice")
            .body(Full::new(body.clone()))
            .unwrap();
        self.runtime.block_on(async {
            self.sender.ready().await.unwrap();
            let response = self.sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap().to_bytes().len()
        })
    }
}

fn body(messages: usize, stream: bool) -> Bytes {
    let text = "The quick brown fox jumps over the lazy dog, again and again. ".repeat(16);
    let messages: Vec<_> = (0..messages)
        .map(|turn| serde_json::json!({"role": "user", "content": format!("turn {turn}: {text}")}))
        .collect();
    serde_json::json!({"model": "echo/m", "stream": stream, "messages": messages}).to_string().into()
}

#[divan::bench(args = [1, 20])]
fn chat(bencher: divan::Bencher<'_, '_>, messages: usize) {
    let (mut client, body) = (Client::new(), body(messages, false));
    bencher.bench_local(|| client.send(&body));
}

#[divan::bench]
fn stream_of_200_events(bencher: divan::Bencher<'_, '_>) {
    let (mut client, body) = (Client::new(), body(1, true));
    bencher.bench_local(|| client.send(&body));
}
