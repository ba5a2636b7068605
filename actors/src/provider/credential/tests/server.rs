//! A server that hands out credentials by a script, and remembers what it was asked.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The status and body for a request, or silence.
pub(super) type Answer = Option<(u16, String)>;
type Script = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

pub(super) struct Server {
    /// `http://127.0.0.1:PORT`
    pub(super) base: String,
    asked: watch::Receiver<Vec<String>>,
    script: watch::Sender<Script>,
}

impl Server {
    /// The script is given the request: its head as it came, a blank line, its body.
    pub(super) async fn start(script: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (heard, asked) = watch::channel(Vec::new());
        let (script, scripts) = watch::channel::<Script>(Arc::new(script));
        // Never idle: a clock that stands still would else jump to the next deadline while bytes are on their way through
        // the system's socket.
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, heard.clone(), scripts.clone()));
            }
        });
        Self { base, asked, script }
    }

    pub(super) fn says(&self, script: impl Fn(&str) -> Answer + Send + Sync + 'static) {
        self.script.send_replace(Arc::new(script));
    }

    /// The requests so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

async fn serve(mut stream: TcpStream, heard: watch::Sender<Vec<String>>, script: watch::Receiver<Script>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(request.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let request = head + &String::from_utf8(body).unwrap();
    heard.send_modify(|asked| asked.push(request.clone()));
    let script = Arc::clone(&*script.borrow());
    let Some((status, body)) = script(&request) else { return std::future::pending().await };
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // Who asked may have given up.
    let _ = stream.write_all(answer.as_bytes()).await;
}
