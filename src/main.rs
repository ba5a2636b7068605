//! The `nexus` binary: parse, run, exit code; nothing else.

use std::process::ExitCode;

use nexus::{app, cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse().run() {
        Ok(serve) => app::serve(serve),
        Err(code) => code,
    }
}
