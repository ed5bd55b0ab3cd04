//! How people name a place for results: a path, or a URL of an object store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The schemes of object stores, in the order in which they are told.
const SCHEMES: [&str; 3] = ["s3", "gs", "az"];

/// Where results are, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A prefix of a bucket.
    Url(Url),
}

/// `scheme://bucket/prefix`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Where the bucket and the prefix begin.
    bucket_at: usize,
    prefix_at: usize,
}

/// Why a text names no place for results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("{scheme}:// is not known; there are: a path, {}", SCHEMES.map(|s| format!("{s}://BUCKET/PREFIX")).join(", "))]
    Scheme { scheme: String },
    #[error(
        "\"{text}\" names no bucket; expected SCHEME://BUCKET/PREFIX with letters, digits, '-', '_' and '.' in the bucket"
    )]
    Bucket { text: String },
    #[error(
        "the prefix of \"{text}\" has an empty part, \".\" or \"..\"; expected names between single slashes"
    )]
    Prefix { text: String },
}

impl Url {
    /// Which kind of store: `s3`, `gs` or `az`.
    pub fn scheme(&self) -> &str {
        &self.text[..self.bucket_at - "://".len()]
    }

    /// The bucket; Azure calls it a container.
    pub fn bucket(&self) -> &str {
        self.text[self.bucket_at..self.prefix_at].trim_end_matches('/')
    }

    /// What every name in the bucket begins with; empty for the whole bucket.
    pub fn prefix(&self) -> &str {
        &self.text[self.prefix_at..]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Location {
    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::Url(_) => None,
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Folder(PathBuf::from(text)));
        };
        if !SCHEMES.contains(&scheme) {
            return Err(LocationError::Scheme { scheme: scheme.to_owned() });
        }
        let rest = rest.trim_end_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if bucket.is_empty() || !bucket.chars().all(is_fit) {
            return Err(LocationError::Bucket { text: text.to_owned() });
        }
        let is_bad = |part: &str| matches!(part, "" | "." | "..");
        if !prefix.is_empty() && prefix.split('/').any(is_bad) {
            return Err(LocationError::Prefix { text: text.to_owned() });
        }
        let text = format!("{scheme}://{rest}");
        let bucket_at = scheme.len() + "://".len();
        let prefix_at = text.len() - prefix.len();
        Ok(Self::Url(Url { text, bucket_at, prefix_at }))
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Folder(path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: [&str; 4]) {
        let Ok(Location::Url(url)) = text.parse() else { panic!("{text} is a URL") };
        assert_eq!([url.scheme(), url.bucket(), url.prefix(), url.as_str()], expected);
    }

    #[test]
    fn urls_are_taken_apart_and_all_else_is_a_path() {
        check("s3://b/p/q", ["s3", "b", "p/q", "s3://b/p/q"]);
        check("gs://my-bucket//", ["gs", "my-bucket", "", "gs://my-bucket"]);
        check("az://c/p/", ["az", "c", "p", "az://c/p"]);
        assert_eq!("a/b".parse(), Ok(Location::Folder("a/b".into())));
        assert_eq!("s3:/b".parse(), Ok(Location::Folder("s3:/b".into())));
    }

    #[test]
    fn what_is_no_place_is_said() {
        let error = |text: &str| text.parse::<Location>().expect_err(text).to_string();
        assert!(error("s4://b/p").starts_with("s4:// is not known; there are: a path, s3://"));
        for text in ["s3://", "s3:///p", "s3://b?c/p"] {
            assert!(error(text).contains("names no bucket"), "{text}");
        }
        for text in ["s3://b//p", "s3://b/../p", "s3://b/p/./q"] {
            assert!(error(text).starts_with("the prefix of"), "{text}");
        }
    }
}
