//! The world outside of the configuration file, as an argument: variables and files. Tests pass their own.

use std::{env, fs, io, path::Path};

/// Where `{{ env.NAME }}`, `{{ file.PATH }}` and the files a configuration names come from.
pub trait Environment {
    /// The value of a variable; `None` when it is not set, or is not UTF-8. An empty one is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The bytes of a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether what is missing is taken for granted instead of being an error (`check --no-env`).
    fn lenient(&self) -> bool {
        false
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// See [`Environment::lenient`].
    pub lenient: bool,
}

impl Environment for Process {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn lenient(&self) -> bool {
        self.lenient
    }
}
