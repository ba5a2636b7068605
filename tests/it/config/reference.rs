//! The files beside the code: the reference, the table of keys, the schema, the examples. Each is kept in step here.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use nexus::config::{
    Config,
    budget::Budgets,
    keys::{FILE, Kind, Section, Support},
    render, schema,
};

use super::{World, codes, report, root};

/// Every table of the file that a key can be looked up in, by walking a written one.
fn seen(
    section: &'static Section,
    table: &toml::Table,
    found: &mut BTreeMap<(&'static str, &'static str), toml::Value>,
) {
    for (name, value) in table {
        let key = section.key(name).unwrap_or_else(|| panic!("{name} in {}", section.title));
        found.entry((section.title, key.name)).or_insert_with(|| value.clone());
        match (key.kind, value) {
            (Kind::Table(below), toml::Value::Table(table)) => seen(below, table, found),
            (Kind::Tables(below), toml::Value::Array(tables)) => {
                tables.iter().for_each(|table| seen(below, table.as_table().unwrap(), found));
            }
            _ => {}
        }
    }
}

/// The reference with everything that is commented out put in force.
fn uncommented(reference: &str) -> String {
    let key = |line: &str| {
        let rest = line.strip_prefix("# ").unwrap_or("x");
        let rest = rest.trim_start();
        rest.starts_with('[')
            || rest.split(" = ").next().is_some_and(|key| rest.contains(" = ") && !key.contains(' '))
    };
    let lines = reference.lines().map(|line| if key(line) { &line[2..] } else { line });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_reference_holds_every_key_with_its_default_and_loads() {
    let reference = fs::read_to_string(root().join("config/nexus.toml")).unwrap();
    let world = World { lenient: true, ..World::default() };
    assert_eq!(codes(&report(&reference, &world)), [""; 0]);
    let whole: toml::Table = uncommented(&reference).parse().unwrap();
    let mut found = BTreeMap::new();
    seen(&FILE, &whole, &mut found);
    for section in FILE.tree() {
        for key in section.keys.iter().filter(|key| !matches!(key.support, Support::Never(_))) {
            let value = found.get(&(section.title, key.name));
            let value = value
                .unwrap_or_else(|| panic!("{} of {} is not in config/nexus.toml", key.name, section.title));
            if !key.default.is_empty() {
                let default: toml::Table = format!("d = {}", key.default).parse().unwrap();
                assert_eq!(*value, default["d"], "{} of {}", key.name, section.title);
            }
        }
    }
}

#[test]
fn the_reference_means_what_the_code_does_without_it() {
    let reference = fs::read_to_string(root().join("config/nexus.toml")).unwrap();
    let world = World { lenient: true, ..World::default() };
    let (config, _) = Config::read(Path::new("n"), &reference, &world).unwrap();
    let bare = "[llm.providers.openai]\ntype = \"openai\"\nmodels.\"gpt-4o\" = {}\n";
    let (default, _) = Config::read(Path::new("n"), bare, &world).unwrap();
    assert_eq!((config.server, config.actors), (default.server, default.actors));
    assert_eq!((config.protocols, config.counting), (default.protocols, default.counting));
    assert_eq!(config.charging, default.charging);
    let (ours, theirs) = (&config.providers[0], &default.providers[0]);
    assert_eq!(
        (ours.max_in_flight, ours.connect_timeout, ours.first_byte_timeout, ours.idle_timeout),
        (theirs.max_in_flight, theirs.connect_timeout, theirs.first_byte_timeout, theirs.idle_timeout)
    );
    assert_eq!(default.providers[0].first_byte_timeout, Duration::from_secs(600));
}

#[test]
fn the_readme_of_the_configuration_has_one_row_for_each_key() {
    let path = root().join("config/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let marker = "<!-- keys -->\n";
    let (head, _) = readme.split_once(marker).unwrap();
    let expected = format!("{head}{marker}{}", schema::markdown());
    if std::env::var_os("NEXUS_UPDATE").is_some() {
        fs::write(&path, &expected).unwrap();
    } else {
        assert!(readme == expected, "config/README.md is behind: run this test with NEXUS_UPDATE=1");
    }
}

#[test]
fn the_schema_describes_every_key_and_refers_to_nothing_it_lacks() {
    let schema = schema::json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let defs = schema["$defs"].as_object().unwrap();
    assert_eq!(defs.len(), FILE.tree().len());
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(defs.contains_key(reference), "{reference}");
    }
    assert_eq!(defs["server"]["properties"]["max_in_flight"]["default"], 4096);
    assert_eq!(defs["server"]["additionalProperties"], false);
}

#[test]
fn every_example_and_the_demonstration_load() {
    let world = World { lenient: true, ..World::default() };
    let examples = fs::read_dir(root().join("config/examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in examples.chain([root().join("config/demo.toml")]) {
        let report = report(&fs::read_to_string(&path).unwrap(), &world);
        assert_eq!(codes(&report), [""; 0], "{}\n{}", path.display(), render::text(&report, false));
        count += 1;
    }
    assert!(count >= 14);
}

#[test]
fn the_examples_of_identity_and_edge_need_nothing_but_what_they_name() {
    let files = ["secrets/server.pem", "secrets/server.key", "secrets/clients.pem"];
    let world = World {
        variables: BTreeMap::from([("OPENAI_API_KEY", "sk-of-tests")]),
        files: files.into_iter().map(|file| (file, &b"pem"[..])).collect(),
        lenient: false,
    };
    for name in ["jwt", "keys", "edge"] {
        let text = fs::read_to_string(root().join(format!("config/examples/{name}.toml"))).unwrap();
        let (config, report) = Config::read(Path::new("n"), &text, &world).unwrap();
        assert_eq!(codes(&report), [""; 0], "{name}");
        let models = &config.providers[0].models;
        assert!(config.identification.is_some() && models[0].budgets != Budgets::default(), "{name}");
    }
}
