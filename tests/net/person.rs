//! A person who hands the sweep in and comes back until all of it is done.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::sweep_file;
use proto::client::Client;
use proto::connection::Connection;
use proto::error::CallError;
use proto::message::{RetryQuery, Submission};
use tokio::time::{sleep, timeout};

use crate::{JOBS, SWEEP, dial};

/// How long the person waits for an answer, and between two questions.
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// Ends when every job is committed and in a visible file.
pub async fn see_it_through(connection: Connection) -> turmoil::Result {
    loop {
        if let Ok(Ok(true)) = timeout(ANSWER, is_done(&connection)).await {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// Hands in what the coordinator does not know yet, retries what it gave up, and looks whether that is all.
async fn is_done(connection: &Connection) -> Result<bool, CallError> {
    let client = Client::connect_by(connection, dial).await?;
    let sweeps = client.list().await?;
    let Some(progress) = sweeps.first() else {
        client.submit(submission()).await?;
        return Ok(false);
    };
    if progress.is_over() && progress.counts.abandoned > 0 {
        // Workers die so often here that some job may have lost three in a row.
        client.retry(&progress.sweep, RetryQuery::Failed(None)).await?;
    }
    Ok(progress.is_over() && progress.counts.committed == JOBS as u64)
}

fn submission() -> Submission {
    let file_text = format!(
        "name = \"{SWEEP}\"\n[axes]\nseed = {{ start = 0, count = {JOBS} }}\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n\
         [data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n[run]\nattempts = 50\n"
    );
    let draft = sweep_file::parse(&file_text, "cut.toml").expect("a good sweep");
    let sweep = draft.resolve(&BTreeMap::new()).expect("it needs no files").canonical();
    let (revise, strict) = (false, false);
    let (file_name, engine_revision) = ("cut.toml".to_owned(), "e1".to_owned());
    Submission { sweep, file_name, file_text, revise, strict, engine_revision }
}
