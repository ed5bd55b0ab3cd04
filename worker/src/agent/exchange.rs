//! Blobs to and from the coordinator, whoever it is at the moment.

use std::time::Duration;

use domain::Digest;
use proto::client::Client;
use proto::error::CallError;
use proto::limits::BLOB_BYTES_MAX;
use tokio::sync::watch;
use tokio::time::sleep;

/// Tries to move a blob before giving up on it. A try waits for a coordinator, so these are faults of a live one.
const TRIES: u32 = 5;

/// The wait after a try that failed, times the tries so far.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a blob did not move.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("blob {digest}")]
    Call { digest: Digest, source: CallError },
    #[error("a blob of {found} bytes; at most {BLOB_BYTES_MAX} are taken")]
    TooLarge { found: u64 },
    #[error("blob {digest}: the agent is leaving")]
    Leaving { digest: Digest },
}

/// The way to the coordinator's blobs. Cheap to clone.
#[derive(Clone)]
pub struct Exchange {
    clients: watch::Receiver<Option<Client>>,
}

impl Exchange {
    /// An exchange with the coordinator that `clients` names; `None` while there is none.
    pub fn new(clients: watch::Receiver<Option<Client>>) -> Self {
        Self { clients }
    }

    /// Whether a coordinator is there now.
    pub fn is_open(&self) -> bool {
        self.clients.borrow().is_some()
    }

    /// The blob of this digest, checked. Waits while no coordinator is there.
    pub async fn fetch(&self, digest: Digest) -> Result<Vec<u8>, ExchangeError> {
        self.retry(digest, |client| async move { client.get_blob(digest).await }).await
    }

    /// Stores `bytes` and answers their digest. Waits while no coordinator is there.
    pub async fn store(&self, bytes: &[u8]) -> Result<Digest, ExchangeError> {
        let found = bytes.len() as u64;
        if found > BLOB_BYTES_MAX {
            return Err(ExchangeError::TooLarge { found });
        }
        let digest = Digest::of(bytes);
        let put = |client: Client| {
            let bytes = bytes.to_vec();
            async move { client.put_blob(digest, bytes).await }
        };
        self.retry(digest, put).await.map(|_| digest)
    }

    async fn retry<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        digest: Digest,
        call: impl Fn(Client) -> F,
    ) -> Result<T, ExchangeError> {
        let mut clients = self.clients.clone();
        let mut tries = 0;
        loop {
            let client = match clients.wait_for(Option::is_some).await {
                Ok(client) => client.clone(),
                Err(_) => return Err(ExchangeError::Leaving { digest }),
            };
            let Some(client) = client else { continue };
            tries += 1;
            match call(client).await {
                Ok(value) => return Ok(value),
                // Only these pass by themselves.
                Err(CallError::Unreachable { .. } | CallError::Server { .. }) if tries < TRIES => {
                    sleep(PAUSE * tries).await;
                }
                Err(source) => return Err(ExchangeError::Call { digest, source }),
            }
        }
    }
}
