//! A server of key sets whose answer can be changed, and that counts how often it is asked.

use http::Uri;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;

pub(super) struct Server {
    uri: Uri,
    asked: Arc<AtomicUsize>,
    answer: watch::Sender<Answer>,
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The answer waits for the next one.
    Later,
    Keys(&'static [&'static str]),
    Fails,
    /// Status 200, and this.
    Text(&'static str),
}

impl Server {
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
        let (asked, (answer, answers)) = (Arc::new(AtomicUsize::new(0)), watch::channel(answer));
        let count = Arc::clone(&asked);
        // Never idle: a clock that stands still would else jump to the next deadline while bytes are on their way through
        // the system's socket.
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&count), answers.clone()));
            }
        });
        Self { uri, asked, answer }
    }

    pub(super) fn source(&self) -> KeySource {
        KeySource::Url(self.uri.clone())
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    pub(super) fn answers(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }
}

async fn serve(mut stream: TcpStream, asked: Arc<AtomicUsize>, mut answers: watch::Receiver<Answer>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    asked.fetch_add(1, Relaxed);
    let Ok(answer) = answers.wait_for(|answer| !matches!(answer, Answer::Later)).await.map(|it| it.clone())
    else {
        return;
    };
    let (status, body) = match answer {
        Answer::Keys(kids) => ("200 OK", jwks(jwk(kids))),
        Answer::Text(text) => ("200 OK", text.to_owned()),
        Answer::Fails | Answer::Later => ("500 Oops", String::new()),
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // Who asked may have given up.
    let _ = stream.write_all(answer.as_bytes()).await;
}
