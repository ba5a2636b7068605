//! The command line: what was asked for, and the commands that need no server. It starts nothing.

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{
    Config, SMALLEST,
    diagnostic::Report,
    environment::Process,
    explain::{Question, explain},
    render, schema,
};
use crate::telemetry::{LogOptions, Style};

mod key;

/// The annotated reference, as `nexus init` prints it.
pub const REFERENCE: &str = include_str!("../config/nexus.toml");

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "./nexus.toml";

/// Stopped cleanly.
pub const CLEAN: u8 = 0;
/// A configuration or start-up error.
pub const FAILED: u8 = 1;
/// The command line is wrong (`clap` ends with it, too).
pub const USAGE: u8 = 2;
/// Stopped with calls cut off.
pub const CUT_OFF: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  nexus --config config/demo.toml          run at once, with the built-in echo provider
  nexus init > nexus.toml                  start from the annotated reference
  nexus check                              every problem of ./nexus.toml, without starting
  nexus check prod.toml --format json      the same for editors and CI
  nexus explain --client alice --group basic --model openai/gpt-4o
                                           which limit holds for whom, rule by rule
  nexus key new --client team-a            an API key for a team, and the table to paste
  nexus -c prod.toml -l 0.0.0.0:8000 --log-style json

Exit codes: 0 clean stop, 1 configuration or start-up error, 2 usage, 3 stopped with calls cut off";

/// A single-node AI router: identity from the request, token budgets per group, only configured models.
#[derive(Clone, Debug, Parser)]
#[command(name = "nexus", version, display_name = "Nexus", after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; serving when nothing is named.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the configuration is.
    #[command(flatten)]
    pub file: FileArg,
    /// What serving takes, when no subcommand is named.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve calls (the default)
    Serve,
    /// Report every problem of the configuration, without starting
    Check(CheckArgs),
    /// Say which token limit holds for a caller, rule by rule
    Explain(ExplainArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print the annotated reference configuration
    Init,
    /// Make keys for callers without an identity provider
    #[command(subcommand)]
    Key(KeyCommand),
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct FileArg {
    /// Configuration file [default: ./nexus.toml]
    #[arg(short, long, global = true, value_name = "FILE", env = "NEXUS_CONFIG_PATH")]
    pub config: Option<PathBuf>,
}

/// What serving takes.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where clients connect, over what the file says [default: 127.0.0.1:8000]
    #[arg(short, long, global = true, value_name = "IP:PORT", env = "NEXUS_LISTEN_ADDRESS")]
    pub listen_address: Option<SocketAddr>,
    /// Read the file again whenever it changes, as on SIGHUP
    #[arg(long, global = true)]
    pub watch: bool,
    /// How logs are written.
    #[command(flatten)]
    pub log: LogOptions,
}

/// What `check` takes.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Configuration file, instead of --config
    #[arg(value_name = "FILE")]
    pub path: Option<PathBuf>,
    /// How problems are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Take missing environment variables and files for granted
    #[arg(long)]
    pub no_env: bool,
}

/// How problems are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, on standard error
    #[default]
    Text,
    /// For editors and CI, on standard output
    Json,
}

/// What `explain` takes.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The client id
    #[arg(long)]
    pub client: String,
    /// The group of the client
    #[arg(long)]
    pub group: Option<String>,
    /// The model, as a client asks for it
    #[arg(long, value_name = "PROVIDER/MODEL")]
    pub model: String,
    /// Input tokens of a call
    #[arg(long)]
    pub tokens: Option<u64>,
}

/// What is done about keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Print a new API key, once, and the table that lets it in
    #[command(after_help = key::EXAMPLES)]
    New(NewKeyArgs),
}

/// What `key new` takes.
#[derive(Clone, Debug, Args)]
pub struct NewKeyArgs {
    /// The client id of its holder
    #[arg(long, value_name = "NAME", default_value = "team-a", value_parser = key::client)]
    pub client: String,
    /// The group of its holder
    #[arg(long, value_name = "NAME", value_parser = key::name)]
    pub group: Option<String>,
}

/// A valid configuration and how to serve it.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The configuration, with what the command line says over it.
    pub config: Config,
    /// The file it came from.
    pub file: PathBuf,
    /// Where clients connect, whatever the file says.
    pub listen_address: Option<SocketAddr>,
    /// Whether the file is read again whenever it changes.
    pub watch: bool,
    /// How logs are written.
    pub log: LogOptions,
    /// The warnings of the file: shown already, unless logs are JSON.
    pub warnings: Report,
}

/// Reads the command line. Ends the process for `--help`, `--version` (0) and wrong usage (2).
pub fn parse() -> Cli {
    Cli::parse()
}

impl Cli {
    /// Does what was asked for. Serving is left to the caller: then the result is `Ok`.
    ///
    /// # Errors
    /// The exit code of a command that is done, or of a file that is refused.
    pub fn run(self) -> Result<Serve, ExitCode> {
        let file = self.file.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        match &self.command {
            None | Some(Command::Serve) => self.load(file),
            Some(Command::Check(args)) => Err(check(args, args.path.as_deref().unwrap_or(&file))),
            Some(Command::Explain(args)) => Err(explained(args, &file)),
            Some(Command::Schema) => Err(print(&format!("{:#}\n", schema::json_schema()))),
            Some(Command::Init) => Err(print(REFERENCE)),
            Some(Command::Key(KeyCommand::New(args))) => Err(new_key(args)),
        }
    }

    fn load(self, file: PathBuf) -> Result<Serve, ExitCode> {
        if self.file.config.is_none() && !file.exists() {
            complain(&format!("There is no {DEFAULT_FILE} and no --config; {SMALLEST}\n"));
            return Err(FAILED.into());
        }
        let ServeArgs { listen_address, watch, log } = self.serve;
        let (config, warnings) = read(&file, listen_address).map_err(|report| refuse(&report))?;
        if log.style != Some(Style::Json) {
            show(&warnings);
        }
        Ok(Serve { config, file, listen_address, watch, log, warnings })
    }
}

/// Reads a file that is to be served, at this address if there is one.
///
/// # Errors
/// As [`Config::load`].
pub fn read(file: &Path, listen_address: Option<SocketAddr>) -> Result<(Config, Report), Report> {
    let (mut config, warnings) = Config::load(file, &Process::default())?;
    config.server.listen_address = listen_address.unwrap_or(config.server.listen_address);
    Ok((config, warnings))
}

fn check(args: &CheckArgs, file: &Path) -> ExitCode {
    let environment = Process { lenient: args.no_env };
    let (report, code) = match Config::load(file, &environment) {
        Ok((_, report)) => (report, CLEAN),
        Err(report) => (report, FAILED),
    };
    match args.format {
        Format::Json => print(&render::json(&report)),
        Format::Text if report.diagnostics.is_empty() => print(&format!("{}: ok\n", file.display())),
        Format::Text => {
            show(&report);
            ExitCode::SUCCESS
        }
    };
    code.into()
}

fn explained(args: &ExplainArgs, file: &Path) -> ExitCode {
    let config = match Config::load(file, &Process { lenient: true }) {
        Ok((config, _)) => config,
        Err(report) => return refuse(&report),
    };
    let ExplainArgs { client, group, model, tokens } = args.clone();
    match explain(&config, &Question { client, group, model, tokens }) {
        Ok(text) => print(&format!("{text}\n")),
        Err(why) => {
            complain(&format!("{why}\n"));
            FAILED.into()
        }
    }
}

/// Key and table on standard output, so that each can be cut out of it; the word for people beside it.
fn new_key(args: &NewKeyArgs) -> ExitCode {
    let Some(key) = key::generate() else {
        complain("The system gives no random bytes.\n");
        return FAILED.into();
    };
    complain(key::HINT);
    print(&format!("{key}\n\n{}", key::table(&key, &args.client, args.group.as_deref())))
}

/// Shows the problems of a file that is refused.
fn refuse(report: &Report) -> ExitCode {
    show(report);
    FAILED.into()
}

/// Shows the problems of a file on standard error.
pub fn show(report: &Report) {
    complain(&render::text(report, io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()));
}

/// To standard error. A closed pipe is no reason to fail.
fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// To standard output. A closed pipe is no reason to fail.
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
