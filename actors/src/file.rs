//! Small files, read whole: keys and certificates. Nothing here knows what is in them.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::Path,
};

/// A file beyond this is no key and no certificate, bytes. All public authorities together have a quarter of it.
const LARGEST: usize = 1 << 20;

/// What is in the file. Blocks, on a disk that hangs or a pipe without a writer for as long as these do.
///
/// # Errors
/// When it cannot be read, or is larger than 1 MiB: no more than that is ever held of it.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // One byte more than is accepted tells that there is more.
    File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut content)?;
    if content.len() > LARGEST {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
        let path = std::env::temp_dir().join(format!("nexus-file-{}", std::process::id()));
        for (size, read_whole) in [(0, true), (LARGEST, true), (LARGEST + 1, false)] {
            std::fs::write(&path, vec![b'a'; size]).unwrap();
            match read(&path) {
                Ok(content) => assert!(read_whole && content.len() == size, "{size}"),
                Err(error) => assert!(!read_whole && error.to_string() == "larger than 1 MiB", "{error}"),
            }
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
