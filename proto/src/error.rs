//! What can go wrong between two ends of the wire: refusals of the API, malformed messages, unreachable peers.

use domain::id::BadId;

/// Why a coordinator did not do what was asked. Each variant is one gRPC status, see `convert::status`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no such sweep, job, worker or blob.
    #[error("{what} is not known here")]
    Unknown { what: String },
    /// The request itself is wrong, whatever the state.
    #[error("{problem}")]
    Invalid { problem: String },
    /// The request is fine, but not now or not like this.
    #[error("{reason}")]
    Refused { reason: String },
    /// The coordinator cannot store anything now.
    #[error("the coordinator cannot store anything now: {reason}")]
    Unavailable { reason: String },
    /// The token is missing or wrong.
    #[error("the token is missing or wrong")]
    Unauthenticated,
    /// The two ends speak different versions.
    #[error("{reason}")]
    Incompatible { reason: String },
}

/// Why a call did not succeed, seen from the client.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The coordinator answered no.
    #[error(transparent)]
    Answer(#[from] ApiError),
    /// No coordinator answered.
    #[error("no coordinator answers at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The answer made no sense.
    #[error("the coordinator's answer is malformed")]
    Malformed(#[from] WireError),
    /// The coordinator failed.
    #[error("the coordinator failed: {message}")]
    Server { message: String },
    /// The connection file cannot serve.
    #[error("the coordinator's address or certificate cannot be used: {reason}")]
    BadConnection { reason: String },
}

/// A message that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("field {field} is missing")]
    Missing { field: &'static str },
    #[error("field {field}: {source}")]
    Id { field: &'static str, source: BadId },
    #[error("field {field} is {found}, at most {limit} is accepted")]
    TooLarge { field: &'static str, found: u64, limit: u64 },
    #[error("field {field} does not know the word \"{found}\"")]
    Word { field: &'static str, found: String },
    #[error("{bytes} bytes are no message: {problem}")]
    Bytes { bytes: usize, problem: String },
    #[error("rows of table {table}: {problem}")]
    Rows { table: &'static str, problem: String },
}
