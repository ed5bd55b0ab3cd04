//! What a coordinator is told at its start. It looks nothing up by itself.

use std::path::PathBuf;
use std::time::Duration;

use store::Store;

/// Where a coordinator listens and keeps its state.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port`; port 0 takes a free one.
    pub listen: String,
    /// The URL host that clients and workers are told; `None`: the address listened on (the host's name for 0.0.0.0).
    pub advertise: Option<String>,
    /// The folder of the journal, its spool and blobs, key and certificate.
    pub journal: PathBuf,
    /// Where the results go.
    pub results: Store,
    /// Where to write the connection file.
    pub connection: PathBuf,
    /// Plain text even beyond loopback.
    pub insecure: bool,
    /// How long a worker may stay silent before its attempts are given to others.
    pub lease: Duration,
}

impl Config {
    /// The lease when nothing else is said: three missed heartbeats and a slow disk in between.
    pub const LEASE: Duration = Duration::from_secs(30);
}
