//! The `nexus` binary: parse, run, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    match nexus::cli::parse().run() {
        Ok(serve) => {
            eprintln!("{} is valid; this build serves nothing yet", serve.file.display());
            ExitCode::FAILURE
        }
        Err(code) => code,
    }
}
