//! Whether a file has changed and is whole. Looks at what the system says of it, at the end of all links: an editor that
//! renames, a mounted map whose link is turned and a write in place all show there. Reads nothing.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A file that is looked at again and again.
#[derive(Debug)]
pub struct Watch {
    file: PathBuf,
    settled: Option<Seen>,
    last: Option<Seen>,
}

/// Device, number, length, and when it changed (seconds, nanoseconds).
type Seen = (u64, u64, u64, i64, i64);

impl Watch {
    /// Whatever is there now is known.
    pub fn new(file: PathBuf) -> Self {
        let seen = seen(&file);
        Self { file, settled: seen, last: seen }
    }

    /// Whether there is something new, the same as at the last look: an editor or a copy may still be at work. Said once.
    /// A file that is not there is no news.
    pub fn look(&mut self) -> bool {
        let seen = seen(&self.file);
        let is_new = seen.is_some() && seen == self.last && seen != self.settled;
        if is_new {
            self.settled = seen;
        }
        self.last = seen;
        is_new
    }
}

fn seen(file: &Path) -> Option<Seen> {
    let it = fs::metadata(file).ok()?;
    Some((it.dev(), it.ino(), it.len(), it.mtime(), it.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Two looks, of which the second sees what has settled.
    fn news(watch: &mut Watch) -> bool {
        assert!(!watch.look(), "not before it has settled");
        let news = watch.look();
        assert!(!watch.look(), "only once");
        news
    }

    #[test]
    fn a_file_that_is_written_renamed_or_linked_anew_is_news_once_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("one"), "1").unwrap();
        symlink(at("one"), at("file")).unwrap();
        let mut watch = Watch::new(at("file"));
        assert!(!news(&mut watch));
        fs::write(at("one"), "12").unwrap();
        assert!(news(&mut watch));
        fs::write(at("two"), "12").unwrap();
        fs::rename(at("two"), at("one")).unwrap();
        assert!(news(&mut watch));
        fs::write(at("three"), "12").unwrap();
        fs::remove_file(at("file")).unwrap();
        assert!(!news(&mut watch));
        symlink(at("three"), at("file")).unwrap();
        assert!(news(&mut watch));
    }
}
