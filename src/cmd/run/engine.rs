//! The coordinator process of a run.

use std::ffi::OsString;
use std::time::Duration;

use proto::client::Client;

use super::child::Child;
use super::place::Place;
use crate::clock;
use crate::failure::Failure;
use crate::reach::client;

/// How long a journal may stay open in the coordinator of a run that was killed: it notices by the end of its input.
const IN_USE_PATIENCE: Duration = Duration::from_secs(8);

/// How long a coordinator may take to answer: a journal of a million jobs is read in some ten seconds.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long it may take to stop; then it is ended, which its journal makes safe.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Shorter than a cluster's: on one machine silence means that a worker died, and what it held must not wait for long.
const LEASE: &str = "10s";

/// Between two tries to reach it.
const POLL: Duration = Duration::from_millis(20);

/// The exit code of a coordinator whose journal another one has open.
const IN_USE: i32 = 73;

/// A running coordinator and a client of it.
pub struct Engine {
    child: Child,
    client: Client,
}

impl Engine {
    /// Starts a coordinator on the journal of `place`, and waits until it answers.
    pub async fn start(place: &Place) -> Result<Self, Failure> {
        let give_up = clock::now() + IN_USE_PATIENCE;
        loop {
            place.forget_connection()?;
            let mut child = Child::start(place, "coordinator", &arguments(place))?;
            tokio::select! {
                status = child.ended() => match status.code() {
                    Some(IN_USE) if clock::now() < give_up => {
                        tokio::time::sleep(10 * POLL).await;
                    }
                    Some(IN_USE) => {
                        return Err(Failure::InUse { folder: place.results().to_string().into(), process: None });
                    }
                    _ => return Err(died(&child, status)),
                },
                client = reached(place) => return Ok(Self { child, client }),
                () = tokio::time::sleep(START_LIMIT) => {
                    let (log, tail) = (child.log().to_owned(), child.last_words());
                    return Err(Failure::CoordinatorSilent { after: START_LIMIT, log, tail });
                }
            }
        }
    }

    /// Calls on it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until it ends by itself, which it should not. Nothing is lost if the wait is given up.
    pub async fn died(&mut self) -> Failure {
        let status = self.child.ended().await;
        died(&self.child, status)
    }

    /// Stops it.
    pub async fn stop(&mut self) {
        self.child.stop(STOP_GRACE).await;
    }
}

fn arguments(place: &Place) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["coordinator".into()];
    arguments.extend(["--listen".into(), "127.0.0.1:0".into()]);
    arguments.extend(["--lease".into(), LEASE.into()]);
    arguments.extend(["--journal".into(), place.journal().into()]);
    arguments.extend(["--results".into(), place.results().to_string().into()]);
    arguments.extend(["--connection".into(), place.connection().into()]);
    arguments
}

async fn reached(place: &Place) -> Client {
    loop {
        if let Ok(client) = client(&place.connection()).await {
            return client;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn died(child: &Child, status: std::process::ExitStatus) -> Failure {
    let (log, tail) = (child.log().to_owned(), child.last_words());
    Failure::CoordinatorDied { status, log, tail }
}
