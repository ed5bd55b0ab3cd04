//! The connection file: all that a client or worker needs to reach a coordinator, in one private file.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The name in a self-made certificate. Clients check for it whatever host or address they dial.
pub const SERVER_NAME: &str = "gradsweep-coordinator";

/// Where a coordinator is and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `http://host:port`, or `https://` with a certificate.
    pub url: String,
    /// The coordinator's certificate, PEM; `None`: plain text.
    pub certificate: Option<String>,
    pub token: Token,
}

/// A bearer token. It does not show in debug output, and is compared without leaking its length of agreement.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token as text, for a request header or the connection file.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token, in time that does not depend on where they differ.
    pub fn matches(&self, given: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), given.as_bytes());
        let differing = ours.iter().zip(theirs).fold(0, |seen, (a, b)| seen | (a ^ b));
        differing == 0 && ours.len() == theirs.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a connection file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("cannot read the connection file {}: is a coordinator running, and is this its file?", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the connection file {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not a connection file", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{} is of format {found}, this gradsweep reads format {FORMAT}", path.display())]
    Format { path: PathBuf, found: u32 },
}

/// The format that this build reads and writes.
const FORMAT: u32 = 1;

/// The file as JSON.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    token: String,
}

impl Connection {
    /// The connection that the file at `path` describes.
    pub fn read(path: &Path) -> Result<Self, ConnectionError> {
        let text = fs::read(path)
            .map_err(|source| ConnectionError::Read { path: path.to_owned(), source })?;
        let stored: Stored = serde_json::from_slice(&text)
            .map_err(|source| ConnectionError::Malformed { path: path.to_owned(), source })?;
        if stored.format != FORMAT {
            return Err(ConnectionError::Format { path: path.to_owned(), found: stored.format });
        }
        let Stored { url, certificate, token, .. } = stored;
        Ok(Self { url, certificate, token: Token(token) })
    }

    /// Puts this connection at `path`, readable by the owner alone, in one step: a reader sees the old file or the
    /// new one, never a part.
    pub fn write(&self, path: &Path) -> Result<(), ConnectionError> {
        let failed = |source| ConnectionError::Write { path: path.to_owned(), source };
        let stored = Stored {
            format: FORMAT,
            url: self.url.clone(),
            certificate: self.certificate.clone(),
            token: self.token.0.clone(),
        };
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| failed(error.into()))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}.tmp", std::process::id()));
        let aside = PathBuf::from(aside);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)
            .map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&aside, path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn connection() -> Connection {
        let certificate = Some("PEM".to_owned());
        Connection { url: "https://h:1".into(), certificate, token: Token::new("secret") }
    }

    #[test]
    fn a_connection_file_reads_back_and_is_private() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/connection.json");
        connection().write(&path).expect("writes");
        assert_eq!(Connection::read(&path).expect("reads"), connection());
        let mode = fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn damaged_files_are_told_apart_from_missing_ones() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("c.json");
        assert!(matches!(Connection::read(&path), Err(ConnectionError::Read { .. })));
        connection().write(&path).expect("writes");
        let whole = fs::read(&path).expect("reads");
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).expect("writes");
            assert!(matches!(Connection::read(&path), Err(ConnectionError::Malformed { .. })));
        }
        fs::write(&path, r#"{"format":9,"url":"","token":""}"#).expect("writes");
        assert!(matches!(Connection::read(&path), Err(ConnectionError::Format { found: 9, .. })));
    }

    #[test]
    fn a_token_matches_only_itself_and_does_not_show() {
        let token = Token::new("abc");
        assert!(token.matches("abc"));
        for other in ["", "ab", "abcd", "abd", "ABC"] {
            assert!(!token.matches(other), "{other:?}");
        }
        assert!(!format!("{token:?}").contains("abc"));
    }
}
