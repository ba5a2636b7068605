//! The server under test: the real binary in a process of its own, in a scratch folder of its own.
//!
//! Its log is collected line by line; it is killed when dropped.

use std::{
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::TcpStream,
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use super::{client::Request, in_time, ports::free_address, wait_until};

/// A port that was free a moment ago may be taken when the server binds it; then another one is tried.
const TRIES: usize = 5;

const FILE: &str = "nexus.toml";

/// A running server.
pub(crate) struct Nexus {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    log: watch::Receiver<Vec<String>>,
    readers: Vec<JoinHandle<()>>,
    folder: TempDir,
}

/// What a server that did not start left behind.
pub(crate) struct Refusal {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// Its standard output and error.
    pub(crate) output: String,
}

impl Nexus {
    /// Starts the server on `config` and waits until it serves. `{admin}` in the text becomes the address that
    /// [`Nexus::admin`] returns.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn start_with(config: &str, arguments: &[&str]) -> Self {
        Self::start_in(&[], config, arguments).await
    }

    /// The same with these variables in its environment.
    pub(crate) async fn start_in(environment: &[(&str, &str)], config: &str, arguments: &[&str]) -> Self {
        for _ in 0..TRIES {
            match Self::launch(environment, config, arguments).await {
                Ok(nexus) => return nexus,
                Err(refusal) if refusal.output.contains("in use") => {}
                Err(Refusal { code, output }) => {
                    panic!("nexus did not start, exit code {code:?}:\n{output}\n{config}")
                }
            }
        }
        panic!("{TRIES} ports in a row were taken");
    }

    /// Starts the server on a configuration under which the main listener has no `/health`; whether it serves is the
    /// test's to find out.
    pub(crate) async fn start_unwatched(config: &str) -> Self {
        Self::spawn(config, &[])
    }

    /// Starts the server on a configuration with `[server.tls]` and waits until it listens.
    pub(crate) async fn start_tls(config: &str, arguments: &[&str]) -> Self {
        Self::start_tls_in(&[], config, arguments).await
    }

    /// The same with these variables in its environment.
    pub(crate) async fn start_tls_in(environment: &[(&str, &str)], config: &str, arguments: &[&str]) -> Self {
        let nexus = Self::spawn_in(environment, config, arguments);
        nexus.logged(1, |line| line.contains("OpenAI LLM endpoint: https://")).await;
        nexus
    }

    async fn launch(environment: &[(&str, &str)], config: &str, arguments: &[&str]) -> Result<Self, Refusal> {
        let mut nexus = Self::spawn_in(environment, config, arguments);
        if let Some(status) = nexus.ready_or_dead().await {
            nexus.whole_log().await;
            return Err(Refusal { code: status.code(), output: nexus.log().join("\n") });
        }
        Ok(nexus)
    }

    fn spawn(config: &str, arguments: &[&str]) -> Self {
        Self::spawn_in(&[], config, arguments)
    }

    fn spawn_in(environment: &[(&str, &str)], config: &str, arguments: &[&str]) -> Self {
        let (address, admin) = (free_address(), free_address());
        let folder = tempfile::tempdir().unwrap();
        write_config(folder.path(), config, admin);
        let listen = address.to_string();
        let mut command = command(folder.path());
        command.envs(environment.iter().copied()).args(["--listen-address", &listen]).args(arguments);
        let mut child = command.spawn().unwrap();
        let (lines, log) = watch::channel(Vec::new());
        let readers = vec![
            tokio::spawn(collect(child.stdout.take().unwrap(), lines.clone())),
            tokio::spawn(collect(child.stderr.take().unwrap(), lines)),
        ];
        Self { child, address, admin, log, readers, folder }
    }

    /// `None` when it serves, its exit status when it has ended.
    async fn ready_or_dead(&mut self) -> Option<ExitStatus> {
        let mut status = None;
        let address = self.address;
        let child = &mut self.child;
        wait_until("the server to serve or to end", || {
            status = child.try_wait().unwrap();
            let ended = status.is_some();
            async move {
                ended
                    || (accepts(address).await
                        && Request::get("/health").send_to(address).await.status == 200)
            }
        })
        .await;
        status
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators look, if the configuration has `[server.admin] listen = "{admin}"`.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Writes another configuration over the first, in place.
    pub(crate) fn configure(&self, config: &str) {
        write_config(self.folder.path(), config, self.admin);
    }

    /// Puts another configuration in the place of the first, as editors do.
    pub(crate) fn replace_config(&self, config: &str) {
        let beside = tempfile::tempdir_in(self.folder.path()).unwrap();
        write_config(beside.path(), config, self.admin);
        std::fs::rename(beside.path().join(FILE), self.folder.path().join(FILE)).unwrap();
    }

    /// Sends a signal (`TERM`, `INT`, `KILL`, `HUP`).
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().expect("a running server");
        let sent =
            std::process::Command::new("sh").arg("-c").arg(format!("kill -{name} {id}")).status().unwrap();
        assert!(sent.success(), "could not send {name} to {id}");
    }

    /// Waits for the end, and for the end of the log, and returns the exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let status = in_time("the server to end", self.child.wait()).await.unwrap();
        self.whole_log().await;
        status.code()
    }

    async fn whole_log(&mut self) {
        for reader in self.readers.drain(..) {
            in_time("the end of the log", reader).await.unwrap();
        }
    }

    /// Whether it has ended already.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Every line so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits until `enough` lines satisfy `wanted` and returns them.
    pub(crate) async fn logged(&self, enough: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut log = self.log.clone();
        let matching = |lines: &Vec<String>| lines.iter().filter(|line| wanted(line)).count() >= enough;
        let seen = tokio::time::timeout(super::PATIENCE, log.wait_for(matching)).await;
        let found = matches!(seen, Ok(Ok(_)));
        drop(seen);
        assert!(found, "fewer than {enough} such lines in the log:\n{}", self.log().join("\n"));
        self.log().into_iter().filter(|line| wanted(line)).collect()
    }

    /// The processor time it has used, by all its threads: what work costs, however busy the machine is.
    pub(crate) fn cpu(&self) -> Duration {
        let id = self.child.id().expect("a running server");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // Behind the name, which may hold blanks: `utime` and `stime` are fields 14 and 15, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(14) + ticks(15)))
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let id = self.child.id().expect("a running server");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Runs the server on a configuration with which it must not start.
pub(crate) async fn refuses_to_start(config: &str, listen: SocketAddr) -> Refusal {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nexus.toml"), config).unwrap();
    let mut command = command(folder.path());
    let output = command.args(["--listen-address", &listen.to_string()]).output();
    let output = in_time("the server to give up", output).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    Refusal { code: output.status.code(), output: String::from_utf8_lossy(&text).into_owned() }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
    command.args(["--config", "nexus.toml"]).current_dir(folder);
    for name in ["NEXUS_CONFIG_PATH", "NEXUS_LISTEN_ADDRESS", "NEXUS_LOG", "NEXUS_LOG_STYLE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn write_config(folder: &Path, config: &str, admin: SocketAddr) {
    std::fs::write(folder.join(FILE), config.replace("{admin}", &admin.to_string())).unwrap();
}

async fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

async fn collect(pipe: impl AsyncRead + Unpin, log: watch::Sender<Vec<String>>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.send_modify(|log| log.push(line));
    }
}
