//! What a coordinator makes for itself at its first start: token, key and certificate, all private to its owner.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proto::connection::{SERVER_NAME, Token};
use proto::server::TlsIdentity;

/// Why the identity cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("the operating system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

/// The token in `folder`, made if there is none: 256 random bits in hexadecimal.
pub fn token(folder: &Path) -> Result<Token, IdentityError> {
    let text = made_once(&folder.join("token"), || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    })?;
    Ok(Token::new(text.trim()))
}

/// The key and certificate in `folder`, made if there are none: self-signed, for [`SERVER_NAME`] whatever the host.
pub fn tls(folder: &Path) -> Result<TlsIdentity, IdentityError> {
    let both = made_once(&folder.join("certificate-and-key.pem"), || {
        let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
        Ok(format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem()))
    })?;
    let split = both.find("-----BEGIN PRIVATE KEY-----").unwrap_or(both.len());
    let (certificate, key) = both.split_at(split);
    Ok(TlsIdentity { certificate: certificate.to_owned(), key: key.to_owned() })
}

/// The text of the file at `path`, which `make` makes the first time; readable by the owner alone.
fn made_once(
    path: &Path,
    make: impl FnOnce() -> Result<String, IdentityError>,
) -> Result<String, IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(text) if !text.is_empty() => return Ok(text),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let text = make()?;
    let aside = path.with_extension("tmp");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&aside, path).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_once_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = token(folder.path()).expect("makes a token");
        assert_eq!(first.reveal().len(), 64);
        assert_eq!(token(folder.path()).expect("reads it"), first);
        let made = tls(folder.path()).expect("makes a certificate");
        assert!(made.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(made.key.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(tls(folder.path()).expect("reads it").certificate, made.certificate);
    }
}
