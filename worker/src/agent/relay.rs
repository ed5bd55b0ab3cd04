//! Passes on what slots tell, in order: straight to the desk while it takes it, by way of the disk while it does not.
//!
//! A task of its own, so that a slow disk delays rows and never a heartbeat.

use std::time::Duration;

use proto::message::FromWorker;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::clock;
use super::ending::chain;
use super::overflow::{Overflow, OverflowError, teller};
use super::slot::Signal;

/// How long the desk may be busy before what is told goes to disk.
const GRACE: Duration = Duration::from_millis(100);

/// How long nothing is said of rows that go to disk after it was said once.
const SAID_FOR: Duration = Duration::from_secs(60);

/// How long after a message found no room on the disk it is tried again; the slots wait meanwhile.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Passes on from `told` to `passed_on` until one of them is closed and nothing is left to do.
pub async fn relay(
    mut told: mpsc::Receiver<FromWorker>,
    mut overflow: Overflow,
    passed_on: mpsc::Sender<FromWorker>,
    signals: mpsc::Sender<Signal>,
) {
    // What found no room, to go behind all that is on disk.
    let mut stuck: Option<FromWorker> = None;
    let mut is_open = true;
    let mut said: Option<Instant> = None;
    loop {
        let is_waiting = !overflow.is_empty() || stuck.is_some();
        if !is_open && !is_waiting {
            return;
        }
        tokio::select! {
            heard = told.recv(), if is_open && stuck.is_none() => match heard {
                Some(message) if is_waiting => {
                    (overflow, stuck) = put(overflow, message).await;
                }
                Some(message) => match timeout(GRACE, passed_on.reserve()).await {
                    Ok(Ok(room)) => room.send(message),
                    Ok(Err(_)) => return,
                    Err(_) => {
                        if said.is_none_or(|said| clock::timer().duration_since(said) > SAID_FOR) {
                            said = Some(clock::timer());
                            tracing::info!("memory is full of rows that no coordinator acknowledged: more go to disk");
                        }
                        (overflow, stuck) = put(overflow, message).await;
                    }
                },
                None => is_open = false,
            },
            room = passed_on.reserve(), if is_waiting => {
                let Ok(room) = room else { return };
                let (back, taken) = take(overflow).await;
                overflow = back;
                match taken {
                    Ok(Some(message)) => {
                        room.send(message);
                    }
                    // Nothing is on disk, so what found no room there is next.
                    Ok(None) => {
                        if let Some(message) = stuck.take() {
                            room.send(message);
                        }
                    }
                    Err(error) => {
                        tracing::error!(error = chain(&error), "rows on disk cannot be read back");
                        let mut lost = overflow.give_up();
                        lost.extend(stuck.take().as_ref().and_then(teller).cloned());
                        drop(signals.send(Signal::Lost(lost)).await);
                    }
                }
            }
            () = sleep(TRY_AGAIN), if stuck.is_some() => {
                if let Some(message) = stuck.take() {
                    (overflow, stuck) = put(overflow, message).await;
                }
            }
        }
    }
}

/// Puts a message on disk; what found no room.
async fn put(mut overflow: Overflow, message: FromWorker) -> (Overflow, Option<FromWorker>) {
    let work = spawn_blocking(move || match overflow.push(&message) {
        Ok(()) => (overflow, None),
        Err(error) => {
            let bytes = overflow.bytes();
            tracing::warn!(%error, bytes, "rows cannot go to disk: trials wait");
            (overflow, Some(message))
        }
    });
    work.await.expect("it does not panic, and nobody aborts it")
}

async fn take(mut overflow: Overflow) -> (Overflow, Result<Option<FromWorker>, OverflowError>) {
    let work = spawn_blocking(move || {
        let taken = overflow.pop();
        (overflow, taken)
    });
    work.await.expect("it does not panic, and nobody aborts it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::overflow::tests::batch;

    const BATCH: usize = 1_000;

    /// A relay whose disk takes `batches`, and both its ends.
    fn start(
        batches: u64,
    ) -> (tempfile::TempDir, mpsc::Sender<FromWorker>, mpsc::Receiver<FromWorker>) {
        let folder = tempfile::tempdir().expect("a folder");
        let (tell, told) = mpsc::channel(1);
        let (passed_on, hear) = mpsc::channel(1);
        let overflow = Overflow::new(folder.path().to_owned(), batches * (BATCH as u64 + 200));
        tokio::spawn(relay(told, overflow, passed_on, mpsc::channel(1).0));
        (folder, tell, hear)
    }

    #[tokio::test]
    async fn a_desk_that_takes_nothing_holds_nobody_up_until_the_disk_is_full() {
        let (_folder, tell, mut hear) = start(100);
        let patience = Duration::from_millis(500);
        let mut sent = 0;
        while timeout(patience, tell.send(batch(1, sent, BATCH))).await.is_ok() {
            sent += 1;
        }
        assert!((100..130).contains(&sent), "the disk, and a few in between: {sent}");
        drop(tell);
        for row in 0..sent {
            assert_eq!(hear.recv().await, Some(batch(1, row, BATCH)), "in order, each once");
        }
        assert_eq!(hear.recv().await, None, "and it ends when all is handed over");
    }

    #[tokio::test]
    async fn what_is_told_while_the_disk_is_read_stays_in_order() {
        let (_folder, tell, mut hear) = start(1_000);
        let telling = tokio::spawn(async move {
            for row in 0..600 {
                tell.send(batch(1, row, BATCH)).await.expect("it is there");
            }
        });
        for row in 0..600 {
            if row % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(hear.recv().await, Some(batch(1, row, BATCH)));
        }
        telling.await.expect("all told");
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_leaves_the_memory_as_it_was() {
        let (_folder, tell, mut hear) = start(0);
        let telling = tokio::spawn(async move {
            for row in 0..20 {
                tell.send(batch(1, row, BATCH)).await.expect("it is there");
            }
        });
        for row in 0..20 {
            assert_eq!(hear.recv().await, Some(batch(1, row, BATCH)));
        }
        telling.await.expect("all told");
    }
}
