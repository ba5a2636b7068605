//! The command line, by running the binary. Nothing is served here.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn nexus(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
    command.current_dir(folder).env_clear();
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// An empty folder, perhaps with a file in it.
fn folder(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    if !name.is_empty() {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const GOOD: &str = "[llm.providers.echo]\ntype = \"echo\"\nmodels.parrot = {}\n";
const BAD: &str = "[llm.providers.echo]\ntype = \"ehco\"\nmodels.parrot = {}\n";

#[test]
fn the_version_and_the_help_are_those_of_nexus() {
    let folder = folder("", "");
    let (code, out, _) = run(nexus(folder.path()).arg("--version"));
    assert_eq!((code, out), (Some(0), format!("Nexus {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = run(nexus(folder.path()).arg("--help"));
    assert_eq!(code, Some(0));
    for word in [
        "check",
        "explain",
        "schema",
        "init",
        "key",
        "NEXUS_CONFIG_PATH",
        "NEXUS_LOG_STYLE",
        "nexus --config config/demo.toml",
    ] {
        assert!(out.contains(word), "{word} is not in\n{out}");
    }
}

#[test]
fn wrong_usage_ends_with_two() {
    let folder = folder("nexus.toml", GOOD);
    for args in [
        &["--nope"][..],
        &["explain"],
        &["check", "--format", "xml"],
        &["-l", "localhost"],
        &["--log", "loud"],
    ] {
        assert_eq!(run(nexus(folder.path()).args(args)).0, Some(2), "{args:?}");
    }
}

#[test]
fn without_a_file_it_says_what_one_looks_like() {
    let folder = folder("", "");
    let (code, _, err) = run(&mut nexus(folder.path()));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("[llm.providers.openai]") && err.contains("nexus --config config/demo.toml"),
        "{err}"
    );
    let (code, _, err) = run(nexus(folder.path()).args(["-c", "gone.toml"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("gone.toml") && err.contains("nexus --config config/demo.toml"), "{err}");
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_not_called_missing() {
    let folder = folder("latin1.toml", "");
    fs::write(folder.path().join("latin1.toml"), b"[server] # caf\xe9\n").unwrap();
    for (file, code, place) in
        [(".", "unreadable-file", "directory"), ("latin1.toml", "not-text", "latin1.toml:1:15")]
    {
        for arguments in [&["-c", file][..], &["check", file]] {
            let (exit, _, err) = run(nexus(folder.path()).args(arguments));
            assert_eq!(exit, Some(1), "{err}");
            assert!(err.contains(code) && err.contains(place) && !err.contains("smallest"), "{err}");
        }
    }
}

#[test]
fn check_finds_its_file_by_argument_flag_variable_and_default() {
    let folder = folder("nexus.toml", BAD);
    fs::write(folder.path().join("good.toml"), GOOD).unwrap();
    let code = |command: &mut Command| run(command).0;
    assert_eq!(code(nexus(folder.path()).arg("check")), Some(1));
    assert_eq!(code(nexus(folder.path()).args(["check", "good.toml"])), Some(0));
    assert_eq!(code(nexus(folder.path()).args(["check", "-c", "good.toml"])), Some(0));
    assert_eq!(code(nexus(folder.path()).args(["--config", "good.toml", "check"])), Some(0));
    assert_eq!(code(nexus(folder.path()).arg("check").env("NEXUS_CONFIG_PATH", "good.toml")), Some(0));
    assert_eq!(code(nexus(folder.path()).args(["check", "good.toml", "-c", "nexus.toml"])), Some(0));
}

#[test]
fn check_prints_json_on_standard_output_and_text_on_standard_error() {
    let folder = folder("nexus.toml", BAD);
    let (code, out, err) = run(nexus(folder.path()).args(["check", "--format", "json"]));
    let problems: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), problems.as_array().unwrap().len()), (Some(1), "", 1));
    assert_eq!(
        (&problems[0]["code"], &problems[0]["line"], &problems[0]["column"]),
        (&"invalid-choice".into(), &2.into(), &8.into())
    );
    let (_, out, err) = run(nexus(folder.path()).arg("check"));
    assert!(out.is_empty() && err.contains("nexus.toml:2:8") && !err.contains('\x1b'), "{err}");
    fs::write(folder.path().join("nexus.toml"), GOOD).unwrap();
    assert_eq!(run(nexus(folder.path()).args(["check", "--format=json"])).1, "[]\n");
}

#[test]
fn check_without_an_environment_accepts_missing_variables() {
    let folder = folder(
        "nexus.toml",
        "[llm.providers.o]\ntype = \"openai\"\napi_key = \"{{ env.NO_SUCH_KEY }}\"\nmodels.m = {}\n",
    );
    assert_eq!(run(nexus(folder.path()).arg("check")).0, Some(1));
    assert_eq!(run(nexus(folder.path()).args(["check", "--no-env"])).0, Some(0));
    assert_eq!(run(nexus(folder.path()).arg("check").env("NO_SUCH_KEY", "")).0, Some(0));
}

#[test]
fn explain_ends_with_the_table_that_applies() {
    let demo = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo.toml")).unwrap();
    let folder = folder("nexus.toml", &demo);
    let ask = |args: &[&str]| run(nexus(folder.path()).arg("explain").args(args));
    let (code, out, _) =
        ask(&["--client", "a", "--group", "basic", "--model", "echo/parrot", "--tokens", "8"]);
    let last = "applies: llm.providers.echo.rate_limits.per_user.groups.basic = 50 input tokens per 60s";
    assert_eq!((code, out.lines().last()), (Some(0), Some(last)));
    assert_eq!(ask(&["--client", "a", "--group", "basic", "--model", "echo/nope"]).0, Some(1));
    assert_eq!(ask(&["--client", "a", "--model", "echo/parrot"]).0, Some(1));
}

#[test]
fn init_prints_a_file_that_check_accepts_and_schema_prints_json() {
    let folder = folder("", "");
    let (code, out, _) = run(nexus(folder.path()).arg("init"));
    assert_eq!(code, Some(0));
    fs::write(folder.path().join("nexus.toml"), out).unwrap();
    assert_eq!(run(nexus(folder.path()).args(["check", "--no-env"])).0, Some(0));
    let (code, out, _) = run(nexus(folder.path()).arg("schema"));
    assert_eq!(code, Some(0));
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["$defs"].is_object());
}

#[test]
fn a_new_key_is_printed_once_with_a_table_that_lets_it_in() {
    let folder = folder("", "");
    let new = |args: &[&str]| run(nexus(folder.path()).args(["key", "new"]).args(args));
    let (code, out, err) = new(&["--client", "team \"b\" \\ ü", "--group", "premium"]);
    assert_eq!(code, Some(0));
    let (key, table) = out.split_once("\n\n").unwrap();
    let letters = key.strip_prefix("nxs_").unwrap();
    assert!(
        letters.len() == 43 && letters.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)),
        "{key}"
    );
    assert_eq!((out.matches(letters).count(), err.matches(letters).count()), (1, 0), "{out}{err}");
    assert!(err.contains("x-api-key"), "{err}");
    fs::write(folder.path().join("nexus.toml"), format!("{table}\n{GOOD}")).unwrap();
    let (code, _, err) = run(nexus(folder.path()).arg("check"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let table: toml::Table = table.parse().unwrap();
    let entry = &table["server"]["api_keys"][0];
    assert_eq!(entry["client"].as_str(), Some("team \"b\" \\ ü"));
    assert_eq!(entry["group"].as_str(), Some("premium"));
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    let digits: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(entry["sha256"].as_str(), Some(&*digits));
    let (code, other, _) = new(&[]);
    assert!(
        code == Some(0) && other.contains("client = \"team-a\"\nsha256") && !other.contains(key),
        "{other}"
    );
    for wrong in [&["--client", ""][..], &["--group", "a\nb"], &["--client", &"x".repeat(1025)]] {
        assert_eq!(new(wrong).0, Some(2));
    }
}
