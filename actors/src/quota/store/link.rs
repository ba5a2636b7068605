//! One connection to the server: kept by a task of its own, which opens it again when it fails, after a while that grows. So
//! nobody waits for a server that is out, and its first good answer ends the outage. Any number of questions are under
//! way at a time, bounded; settlements go in batches. Nothing here knows what is asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, Pipeline, RedisError, RedisResult, TlsCertificates,
    Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};

use super::{Redis, script};

/// Clones are one connection.
#[derive(Clone, Debug)]
pub(super) struct Link(Arc<Shared>);

/// The server is out, or its answer makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Out;

/// A command that is sent with others like it.
#[derive(Debug)]
pub(super) enum Job {
    /// Whoever waits for the answer, if anybody does.
    Settle(Cmd, Option<oneshot::Sender<Value>>),
    /// Tell when everything before it has been sent.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Shared {
    client: Client,
    config: AsyncConnectionConfig,
    connect_within: Duration,
    /// `None` while the server is out.
    live: watch::Sender<Option<Live>>,
    places: Arc<Semaphore>,
    jobs: mpsc::Sender<Job>,
    /// Settlements that were lost since the server was last said to be back.
    lost: AtomicU64,
}

/// A connection that answers, as far as is known.
#[derive(Clone, Debug)]
struct Live {
    connection: MultiplexedConnection,
    number: u64,
}

/// The most questions under way; one more finds the server out.
const MOST_ASKED: usize = 16_384;
/// The most settlements that wait for the server to come back; more are lost.
const MOST_JOBS: usize = 8_192;
/// The most settlements of one round trip.
const BATCH: usize = 256;
/// How long a server that failed is left alone, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A question is waited for so long at most, whatever is configured: who asks the actor gives up later.
const LONGEST_ANSWER: Duration = Duration::from_secs(4);

impl Link {
    /// A connection that [`open`](Self::open) opens.
    pub(super) fn new(settings: &Redis) -> RedisResult<Self> {
        let answer_within = settings.response_timeout.min(LONGEST_ANSWER);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connection_timeout))
            .set_response_timeout(Some(answer_within))
            .set_pipeline_buffer_size(BATCH);
        let (jobs, waiting) = mpsc::channel(MOST_JOBS);
        let link = Self(Arc::new(Shared {
            client: client(settings)?,
            config,
            connect_within: settings.connection_timeout.saturating_add(answer_within),
            live: watch::Sender::new(None),
            places: Arc::new(Semaphore::new(MOST_ASKED)),
            jobs,
            lost: AtomicU64::new(0),
        }));
        tokio::spawn(link.clone().settle(waiting));
        Ok(link)
    }

    /// Tries to connect, and keeps on trying in a task.
    pub(super) async fn open(self) -> RedisResult<()> {
        let first = self.connect().await;
        let error = first.as_ref().err().cloned();
        tokio::spawn(self.keep(first));
        error.map_or(Ok(()), Err)
    }

    /// Host and port.
    pub(super) fn address(&self) -> String {
        self.0.client.get_connection_info().addr().to_string()
    }

    /// A place for one question, unless the server is out.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        (!self.is_out()).then_some(place)
    }

    /// Whether the server is left alone now.
    pub(super) fn is_out(&self) -> bool {
        self.0.live.borrow().is_none()
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Out> {
        let live = self.0.live.borrow().clone().ok_or(Out)?;
        let mut connection = live.connection.clone();
        let mut answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        if answer.as_ref().is_err_and(has_no_script) {
            load(&mut connection).await.map_err(|error| self.failed(&live, &error))?;
            answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        }
        answer.map_err(|error| self.failed(&live, &error))
    }

    /// Hands a job over. Lost if too many wait already.
    pub(super) fn submit(&self, job: Job) {
        if self.0.jobs.try_send(job).is_err() {
            self.0.lost.fetch_add(1, Relaxed);
        }
    }

    /// From now on the server is left alone; the first who finds out says so.
    fn failed(&self, live: &Live, error: &RedisError) -> Out {
        let is_first = self.0.live.send_if_modified(|now| {
            let same = now.as_ref().is_some_and(|now| now.number == live.number);
            if same {
                *now = None;
            }
            same
        });
        if is_first {
            tracing::warn!(address = self.address(), %error, "Redis has failed");
        }
        Out
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let connect = async {
            let mut connection =
                self.0.client.get_multiplexed_async_connection_with_config(&self.0.config).await?;
            load(&mut connection).await?;
            Ok(connection)
        };
        let late = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        timeout(self.0.connect_within, connect).await.unwrap_or_else(late)
    }

    /// Opens the connection whenever it has failed.
    async fn keep(self, mut next: RedisResult<MultiplexedConnection>) {
        let (mut pause, mut is_out, mut number) = (PAUSE.0, false, 0);
        let mut live = self.0.live.subscribe();
        loop {
            match next {
                Ok(connection) => {
                    if is_out {
                        let lost = self.0.lost.swap(0, Relaxed);
                        tracing::info!(address = self.address(), lost_settlements = lost, "Redis is back");
                    }
                    let since = Instant::now();
                    number += 1;
                    self.0.live.send_replace(Some(Live { connection, number }));
                    // Cannot fail: the sender is in here.
                    let _ = live.wait_for(Option::is_none).await;
                    if since.elapsed() > PAUSE.1 {
                        pause = PAUSE.0;
                    }
                }
                Err(error) if !is_out => {
                    tracing::warn!(address = self.address(), %error, "Redis cannot be reached");
                }
                Err(_) => {}
            }
            is_out = true;
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
            next = self.connect().await;
        }
    }

    /// Sends what is handed over; while the server is out, it waits.
    async fn settle(self, mut waiting: mpsc::Receiver<Job>) {
        let mut live = self.0.live.subscribe();
        let mut jobs = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut jobs, BATCH).await > 0 {
            let (mut batch, mut done) = (redis::pipe(), Vec::new());
            batch.ignore_errors();
            let mut answers = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                match job {
                    Job::Settle(command, answer) => {
                        batch.add_command(command);
                        answers.push(answer);
                    }
                    Job::Flush(flushed) => done.push(flushed),
                }
            }
            if self.is_out() {
                // Nobody waits for so long.
                answers.iter_mut().for_each(|answer| *answer = None);
            }
            if !answers.is_empty() {
                let Ok(current) = live.wait_for(Option::is_some).await.map(|live| live.clone()) else {
                    return;
                };
                if let Some(current) = current {
                    self.send(&current, &batch, answers).await;
                }
            }
            for flushed in done {
                let _ = flushed.send(());
            }
        }
    }

    async fn send(&self, live: &Live, batch: &Pipeline, answers: Vec<Option<oneshot::Sender<Value>>>) {
        let mut connection = live.connection.clone();
        let count = answers.len();
        let mut sent = connection.send_packed_commands(batch, 0, count).await;
        // A server has the script or not: then none of them did anything.
        let has_none = |answers: &Vec<Value>| {
            answers.iter().any(|one| one.clone().extract_error().is_err_and(|error| has_no_script(&error)))
        };
        if sent.as_ref().is_ok_and(has_none) {
            sent = match load(&mut connection).await {
                Ok(()) => connection.send_packed_commands(batch, 0, count).await,
                Err(error) => Err(error),
            };
        }
        match sent {
            Ok(values) => {
                for (value, answer) in values.into_iter().zip(answers) {
                    if let (Some(answer), Ok(value)) = (answer, value.extract_error()) {
                        let _ = answer.send(value);
                    }
                }
            }
            Err(error) => {
                // Nobody knows which of them were done, and twice would be wrong.
                self.0.lost.fetch_add(count as u64, Relaxed);
                self.failed(live, &error);
            }
        }
    }
}

async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut command = redis::cmd("SCRIPT");
    command.arg("LOAD").arg(script::TEXT);
    connection.send_packed_command(&command).await?.extract_error().map(drop)
}

fn has_no_script(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}

fn client(settings: &Redis) -> RedisResult<Client> {
    let Some(tls) = &settings.tls else { return Client::open(settings.url.expose()) };
    let (_, rest) = settings.url.expose().split_once("://").unwrap_or_default();
    let insecure = if tls.insecure { "#insecure" } else { "" };
    let client_tls = tls.client.as_ref().map(|(certificate, key)| ClientTlsConfig {
        client_cert: certificate.to_vec(),
        client_key: key.expose().as_bytes().to_vec(),
    });
    let root_cert = tls.ca_pem.as_ref().map(|pem| pem.to_vec());
    let trimmed = rest.split('#').next().unwrap_or_default();
    Client::build_with_tls(format!("rediss://{trimmed}{insecure}"), TlsCertificates { client_tls, root_cert })
}
