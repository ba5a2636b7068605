//! What operators write.

use std::{io, path::Path};

use nexus::{
    config::{Config, environment::Environment, render},
    route::Routes,
};

/// A world in which every variable and file is the same secret, or there is none.
struct World(Option<&'static str>);

/// Nothing that a message would say by itself.
const SECRET: &str = "QxZ7-hush-hush";

impl Environment for World {
    fn variable(&self, _: &str) -> Option<String> {
        self.0.map(str::to_owned)
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        self.0.map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A file gives a configuration that can be served, or problems that can be shown and tell no secret; the same each time.
pub fn config(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    for world in [World(None), World(Some(SECRET))] {
        let read = || Config::read(Path::new("nexus.toml"), text, &world);
        let report = match read() {
            Ok((config, warnings)) => {
                Routes::new(&config);
                assert_eq!(read().expect("as before").0, config);
                warnings
            }
            Err(problems) => {
                assert!(problems.has_errors());
                problems
            }
        };
        let shown = render::text(&report, false) + &render::text(&report, true) + &render::json(&report);
        assert!(text.contains(SECRET) || !shown.contains(SECRET), "{shown}");
    }
}
