//! Files that a user names: size-limited reading, of regular files only, and creation.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Maximum size of a secret or a token, in bytes.
pub const MAX_SECRET: u64 = 64 * 1024;

/// Maximum size of a config file, a template or a certificate file, in bytes.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Reads a file of at most `max` bytes. Devices and pipes are rejected: they may be endless, or block.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = vec![];
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("larger than {} KB", max / 1024)));
    }
    Ok(bytes)
}

/// Reads a text file of at most `max` bytes, without the byte order mark that some editors write.
pub fn read_text(path: &Path, max: u64) -> Result<String> {
    let mut bytes = read(path, max)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "not UTF-8 text"))
}

/// Creates a file with these permissions, and waits until it is on disk. Never replaces a file.
pub fn create(path: &Path, mode: u32, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_expected_size_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "0123456789");
        assert_eq!(read_text(&path, 9).unwrap_err().to_string(), "larger than 0 KB");
        std::fs::write(&path, "\u{feff}é").unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "é");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 9).unwrap_err().to_string(), "not UTF-8 text");
        for endless in ["/dev/zero", "/dev/stdin", "/"] {
            assert!(read(Path::new(endless), 9).is_err(), "{endless}");
        }
        assert_eq!(read(&directory.path().join("none"), 9).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
