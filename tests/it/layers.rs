//! The rules of the house, read from its source: who may import whom, how long things may be, what every file says
//! about itself.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Lines of code in a file, tests and comments apart.
const LONGEST_FILE: usize = 400;
/// Lines of a function, from its name to its closing brace.
const LONGEST_FUNCTION: usize = 60;
/// Lines of an inline test module; a longer one moves to a sibling file.
const LONGEST_INLINE_TESTS: usize = 150;

/// Where a rule holds, and what is never named there.
struct Rule {
    below: &'static str,
    except: &'static [&'static str],
    never: &'static [&'static str],
}

/// Things that come from outside a pure function's arguments.
const EFFECTS: [&str; 8] =
    ["tokio", "hyper", "hyper_util", "ractor", "Instant::now", "SystemTime::now", "std::net", "std::fs"];

const RULES: [Rule; 10] = [
    Rule {
        below: "actors/src",
        except: &[
            "actors/src/identity/claims.rs",
            "actors/src/identity/key_set.rs",
            "actors/src/identity/token.rs",
            // The documents that credentials of providers come in.
            "actors/src/provider/credential/document.rs",
        ],
        never: &["nexus", "serde_json"],
    },
    Rule {
        below: "src/chat",
        except: &[],
        never: &["actors", "crate::config", "crate::protocol", "crate::server", "crate::app", "http"],
    },
    Rule {
        below: "src/protocol",
        except: &[],
        never: &["actors", "crate::config", "crate::server", "crate::app", "crate::telemetry"],
    },
    Rule {
        below: "src/upstream",
        except: &[],
        never: &["actors", "crate::server", "crate::app", "crate::telemetry"],
    },
    Rule { below: "src/route", except: &[], never: &["crate::server", "crate::app", "crate::telemetry"] },
    Rule {
        below: "src/tokens",
        except: &[],
        never: &["actors", "crate::server", "crate::app", "crate::telemetry"],
    },
    Rule {
        below: "src/config",
        except: &["src/config/watch.rs"],
        never: &["tokio", "hyper", "hyper_util", "ractor", "crate::server", "crate::app", "crate::telemetry"],
    },
    Rule {
        below: "src/telemetry",
        except: &[],
        never: &["crate::protocol", "crate::server", "crate::app", "ractor"],
    },
    Rule { below: "src/server", except: &[], never: &["ractor", "crate::app", "crate::cli"] },
    Rule { below: "src/cli", except: &[], never: &["crate::server", "ractor", "hyper"] },
];

/// Modules that take everything they need as arguments.
const PURE: [&str; 5] = ["src/chat", "src/protocol", "src/upstream", "src/route", "src/tokens"];

/// A source file.
struct Source {
    /// Its path below the repository.
    path: String,
    text: String,
}

impl Source {
    /// Whether it is `module.rs` or lies in the folder `module`.
    fn is_below(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Whether the file as a whole is a test.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/")
    }

    /// Its lines up to an inline test module.
    fn program(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"))
    }

    /// Its lines of code, with their numbers, without blank lines and comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.program().enumerate().map(|(number, line)| (number + 1, line));
        numbered.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below the folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| repository().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 10, "the source is where it is looked for");
    sources
}

/// Whether `line` names `path` (`tokio`, `crate::server`), as a path and not as a part of another name.
fn names(line: &str, path: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(path).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + path.len()..]);
        let starts = !before.ends_with(|c| is_word(c) || c == ':' || c == '.' || c == '"' || c == '/');
        let used = before.trim_end().ends_with("use") || after.starts_with("::") || path.contains("::");
        starts && used && !after.starts_with(is_word)
    })
}

fn assert_none(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n{}", broken.join("\n"));
}

#[test]
fn a_path_is_found_where_it_is_named() {
    assert!(
        names("use tokio::net;", "tokio")
            && names("    tokio::spawn(f)", "tokio")
            && names("use tokio;", "tokio")
    );
    assert!(names("use crate::server::Server;", "crate::server") && names("pub(crate) use http;", "http"));
    assert!(!names("use tokio_rustls::X;", "tokio") && !names("let tokio = 3;", "tokio"));
    assert!(!names("use crate::server_name::X;", "crate::server") && !names("// http", "http"));
    assert!(!names("use crate::tokio::X;", "tokio"), "a module of ours with that name");
}

#[test]
fn modules_import_only_what_their_layer_may() {
    let mut broken = Vec::new();
    let sources = sources(&["src", "actors/src"]);
    for source in sources.iter().filter(|source| !source.is_test()) {
        let holding = RULES
            .iter()
            .filter(|rule| source.is_below(rule.below) && !rule.except.contains(&source.path.as_str()));
        let never: Vec<&str> = holding.flat_map(|rule| rule.never).copied().collect();
        for (number, line) in source.code() {
            for path in never.iter().filter(|path| names(line, path)) {
                broken.push(format!("{}:{number} names {path}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("these lines reach into a layer they must not know", &broken);
}

#[test]
fn pure_modules_have_no_effects() {
    let mut broken = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        if !PURE.iter().any(|module| source.is_below(module)) {
            continue;
        }
        for (number, line) in source.code() {
            for effect in EFFECTS.iter().filter(|effect| names(line, effect)) {
                broken.push(format!("{}:{number} names {effect}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("what these need must be an argument", &broken);
}

#[test]
fn no_state_is_behind_a_lock() {
    let mut broken = Vec::new();
    for source in sources(&["src", "actors/src"]).iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for lock in
                ["Mutex", "RwLock", "DashMap", "parking_lot"].iter().filter(|lock| words.contains(lock))
            {
                broken.push(format!("{}:{number} {lock}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("what two actors need travels as a message", &broken);
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<String> = sources(&["src", "actors/src", "tests"])
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_none("these files have no head", &silent);
}

#[test]
fn no_module_is_called_mod() {
    let paths = sources(&["src", "actors/src", "tests"]).into_iter().map(|source| source.path);
    let called: Vec<String> = paths.filter(|path| path.ends_with("/mod.rs")).collect();
    assert_none("foo.rs and foo/ instead", &called);
}

#[test]
fn files_can_be_held_in_the_head() {
    let mut broken = Vec::new();
    for source in sources(&["src", "actors/src", "tests/it"]) {
        let code = source.code().count();
        if code > LONGEST_FILE {
            broken.push(format!("{}: {code} lines of code, at most {LONGEST_FILE}", source.path));
        }
        let tests = source.text.lines().count() - source.program().count();
        if !source.is_test() && tests > LONGEST_INLINE_TESTS {
            broken.push(format!(
                "{}: {tests} lines of inline tests, at most {LONGEST_INLINE_TESTS}",
                source.path
            ));
        }
    }
    assert_none("too long", &broken);
}

#[test]
fn functions_can_be_read_at_a_glance() {
    let mut broken = Vec::new();
    for source in sources(&["src", "actors/src", "tests/it"]) {
        // The source is formatted: a function ends at the first brace that stands as far in as its first line.
        let mut open: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
        for (number, line) in source.text.lines().enumerate() {
            let depth = line.len() - line.trim_start().len();
            let is_head = line.contains("fn ") && line.contains('(') && !line.trim_start().starts_with("//");
            if is_head && !line.trim_end().ends_with([';', '}']) {
                open.insert(depth, (number, line));
            } else if line.trim_end() == format!("{}}}", " ".repeat(depth))
                && let Some((start, head)) = open.remove(&depth)
                && number - start > LONGEST_FUNCTION
            {
                broken.push(format!(
                    "{}:{}: {} lines: {}",
                    source.path,
                    start + 1,
                    number - start,
                    head.trim()
                ));
            }
        }
    }
    assert_none("too long", &broken);
}

#[test]
fn panics_unwind_in_the_release_build() {
    let manifest: toml::Table = fs::read_to_string(repository().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("unwind"), "supervision needs it");
    for package in ["src/lib.rs", "actors/src/lib.rs"] {
        let head = fs::read_to_string(repository().join(package)).unwrap();
        assert!(head.contains("#![forbid(unsafe_code)]"), "{package}");
    }
}

#[test]
fn the_top_level_holds_nothing_else() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "actors",
        "tests",
        "config",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ];
    for entry in fs::read_dir(repository()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let ours = name.starts_with('.') || name.starts_with("target") || allowed.contains(&name.as_str());
        assert!(ours, "{name} is not of the house");
    }
}

#[test]
fn what_a_newcomer_needs_is_there() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    for command in ["cargo run --release -- --config config/demo.toml", "curl", "tests/run"] {
        assert!(readme.contains(command), "the README does not say `{command}`");
    }
    for file in [
        "config/demo.toml",
        "config/nexus.toml",
        "config/README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "tests/run",
        ".ci/run",
    ] {
        assert!(repository().join(file).is_file(), "{file}");
    }
}
