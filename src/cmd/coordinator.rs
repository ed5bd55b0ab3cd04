//! `gradsweep coordinator`: a coordinator in the foreground, until a signal stops it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use coordinator::Config;
use store::Location;

use crate::config::{self, ConnectionArgs};
use crate::failure::Failure;
use crate::host;
use crate::logs;
use crate::reach::block_on;
use crate::signals::{Stops, parent_gone};

/// Run a coordinator: it hands out jobs, keeps the journal and writes the results.
#[derive(Debug, Args)]
pub struct CoordinatorArgs {
    /// Where to listen; port 0 takes a free one. Beyond loopback it speaks TLS.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7077")]
    listen: String,
    /// The host name or address that the connection file tells others [default: the address listened on].
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// The folder of the journal, blobs, key and token.
    #[arg(long, value_name = "DIR", default_value = "journal")]
    journal: PathBuf,
    /// Where the results go: a folder, or s3://BUCKET/PREFIX, gs:// or az://.
    #[arg(long, value_name = "DIR|URL", default_value = "results")]
    results: Location,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Speak plain text even beyond loopback: only inside a network that you trust.
    #[arg(long)]
    insecure: bool,
    /// How long a worker may stay silent before others get its jobs.
    #[arg(long, value_name = "DURATION", value_parser = lease, default_value = "30s")]
    lease: Duration,
    /// End when standard input does.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Serves until SIGTERM, SIGHUP or SIGINT. A second SIGINT ends it at once, which is as safe as a crash.
pub fn run(args: &CoordinatorArgs) -> Result<(), Failure> {
    logs::start();
    host::raise_open_files();
    let config = Config {
        listen: args.listen.clone(),
        advertise: args.advertise.clone(),
        journal: args.journal.clone(),
        results: config::store(&args.results)?,
        connection: args.connection.path()?,
        insecure: args.insecure,
        lease: args.lease,
    };
    block_on(async {
        let mut stops = Stops::listen().map_err(Failure::Setup)?;
        let exit_with_parent = args.exit_with_parent;
        let (again, second) = tokio::sync::oneshot::channel();
        let shutdown = async move {
            tokio::select! {
                _ = stops.next() => {}
                () = parent_gone(exit_with_parent) => {}
            }
            // Serving goes on to its end while somebody waits here for a second signal.
            drop(again.send(stops));
        };
        let at_once = async {
            match second.await {
                Ok(mut stops) => stops.next().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            served = coordinator::serve(config, shutdown) => Ok(served?),
            _ = at_once => Err(Failure::Interrupted),
        }
    })
}

/// The shortest lease: workers speak six times a lease, and a busy host is late by more than that of a shorter one.
const LEASE_MIN: Duration = Duration::from_secs(1);

fn lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if lease < LEASE_MIN {
        return Err(
            "a lease is at least 1s: with less, workers that are only late lose their jobs"
                .to_owned(),
        );
    }
    Ok(lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_no_worker_could_keep_is_refused() {
        assert_eq!(lease("1s"), Ok(LEASE_MIN));
        for bad in ["0s", "999ms", "soon"] {
            assert!(lease(bad).is_err(), "{bad}");
        }
    }
}
