//! The named bounds of the wire. Each says why it is what it is.

use std::time::Duration;

/// The protocol that this build speaks. A worker with another number is refused; it grows with each change that an
/// older peer would misread.
pub const PROTOCOL: u32 = 5;

/// Largest gRPC message either end takes. A row batch is at most [`ROW_BATCH_BYTES_MAX`], a sweep at most
/// [`SWEEP_BYTES_MAX`]; the rest is room for framing.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Largest body of one row batch: 4 MiB is some 2,000 confusion rows and more, and sixteen of them still fit in 64 MiB.
pub const ROW_BATCH_BYTES_MAX: usize = 4 << 20;

/// Live rows that are read at a time, in bytes and in batches: what a message holds, but for a batch that is longer alone, and
/// what the journal is held for.
pub const LIVE_BYTES: u64 = 1 << 20;
/// See [`LIVE_BYTES`].
pub const LIVE_BATCHES: usize = 1_024;

/// Most rows in one batch, so that decoding is bounded whatever the bytes claim.
pub const ROW_BATCH_ROWS_MAX: u32 = 8_192;

/// Largest canonical sweep or file text in a submission.
pub const SWEEP_BYTES_MAX: usize = 4 << 20;

/// Largest canonical job spec in a grant.
pub const SPEC_BYTES_MAX: usize = 64 << 10;

/// Bytes of one chunk of a blob: large enough to keep the pipe full, small enough to interleave with heartbeats.
pub const BLOB_CHUNK_BYTES: usize = 256 << 10;

/// Largest blob: the whole of CIFAR-100 is under 200 MiB; checkpoints of the largest Wide ResNet are under 1 GiB.
pub const BLOB_BYTES_MAX: u64 = 2 << 30;

/// Messages waiting to leave on one session, in either direction. A full queue slows its sender down.
pub const SESSION_QUEUE: usize = 64;

/// Messages waiting to leave for one worker. A worker that reads so slowly that this fills is cut off, and comes back
/// with all it holds; it must not hold the others up.
pub const OUTBOX_QUEUE: usize = 4_096;

/// Longest word that a worker says of itself or its work: a host, a version, an engine revision, an instruction set.
pub const WORD_BYTES_MAX: usize = 256;

/// Longest message and log tail of a failure report; the rest is cut.
pub const LOG_TAIL_BYTES_MAX: usize = 8 << 10;

/// Slots that one worker may announce: more than the cores of any machine we know.
pub const SLOTS_MAX: u32 = 4_096;

/// Grants that a worker may ask for ahead, a slot: enough that short jobs follow each other without a round trip.
pub const AHEAD_MAX: u32 = 16;

/// Attempts that one worker may hold: those at work, those asked for ahead, and as many again whose end is not
/// acknowledged yet.
pub const ATTEMPTS_MAX: u32 = SLOTS_MAX * (1 + AHEAD_MAX) * 2;

/// Lines of one page of jobs.
pub const JOBS_PAGE_MAX: u32 = 10_000;

/// HTTP/2 keep-alive: half-open connections (a dead node, a NAT that forgot) are noticed in 20 + 10 seconds.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long a keep-alive ping may stay unanswered.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer of which nothing was heard for so long is let go, at the latest after twice that. One that speaks HTTP/2 answers a
/// keep-alive ping in the meantime, so this is for those that connect and say nothing, or no more than the beginning.
pub const SILENCE_MAX: Duration = Duration::from_secs(40);

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
