//! A worker's host: the real link and clerk, and pretended trials in its slots.

use std::time::Duration;

use domain::WorkerId;
use proto::client::Client;
use proto::connection::Connection;
use proto::limits::PROTOCOL;
use proto::message::{Attempt, FromWorker, Hello};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use worker::agent::clerk::{Clerk, News, Order};
use worker::agent::link::{Find, Link, Turn};
use worker::agent::seats::Seated;

use crate::dial;
use crate::trial::{self, ENGINE, INSTRUCTION_SET};

const SLOTS: u32 = 2;

/// What a slot works on.
struct Work {
    attempt: Attempt,
    since: Instant,
    task: AbortHandle,
}

/// One life of a worker process.
struct Hand {
    clerk: Clerk,
    slots: Vec<Option<Work>>,
    clients: watch::Sender<Option<Client>>,
    tell: mpsc::Sender<FromWorker>,
}

/// Works until it is killed.
pub async fn work(connection: Connection, worker: WorkerId) -> turmoil::Result {
    let find: Find = Box::new(move || {
        let connection = connection.clone();
        Box::pin(async move { Ok(Client::connect_by(&connection, dial).await?) })
    });
    let mut link = Link::new(find, worker);
    let (tell, mut tales) = mpsc::channel(8);
    let slots = (0..SLOTS).map(|_| None).collect();
    let mut hand =
        Hand { clerk: Clerk::new(SLOTS), slots, clients: watch::Sender::new(None), tell };
    loop {
        let (is_full, has_message) = (hand.clerk.is_full(), hand.clerk.has_message());
        tokio::select! {
            Some(tale) = tales.recv(), if !is_full => hand.hear_tale(tale),
            turn = link.turn(has_message) => match turn {
                Turn::HelloDue => link.open(hello(worker, hand.clerk.attempts())),
                Turn::Opened(client) => {
                    hand.clients.send_replace(Some(client));
                    hand.clerk.opened();
                }
                Turn::Lost(_) => {
                    hand.clients.send_replace(None);
                    hand.clerk.lost();
                }
                Turn::Said(message) => {
                    let (news, orders) = hand.clerk.hear(message);
                    if let News::Drain { .. } = news {
                        return Err("nobody drains a worker here".into());
                    }
                    hand.carry_out(orders);
                }
                Turn::Room => while link.has_room() {
                    let Some(message) = hand.clerk.next_message() else { break };
                    link.send(message);
                },
                Turn::HeartbeatDue => hand.clerk.heartbeat(),
            },
        }
    }
}

impl Hand {
    fn hear_tale(&mut self, tale: FromWorker) {
        match tale {
            FromWorker::Rows(batch) => self.clerk.rows(batch),
            FromWorker::Checkpoint(attempt, checkpoint) => {
                self.clerk.checkpoint(&attempt, checkpoint);
            }
            FromWorker::Outcome(attempt, outcome) => {
                self.clerk.finish(&attempt, outcome);
                let mut works = self.slots.iter();
                let works_on =
                    |work: &Option<Work>| work.as_ref().is_some_and(|w| w.attempt == attempt);
                if let Some(slot) = works.position(works_on) {
                    self.vacate(slot);
                }
            }
            other => panic!("a trial does not say {other:?}"),
        }
    }

    fn vacate(&mut self, slot: usize) {
        let took = self.slots[slot].take().map_or(Duration::ZERO, |work| work.since.elapsed());
        let orders = self.clerk.vacate(slot, took);
        self.carry_out(orders);
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Start(seated) => {
                    let Seated { slot, grant } = *seated;
                    let (attempt, since) = (grant.attempt.clone(), Instant::now());
                    let run = trial::run(grant, self.clients.subscribe(), self.tell.clone());
                    let task = tokio::task::spawn_local(run).abort_handle();
                    let before = self.slots[slot].replace(Work { attempt, since, task });
                    assert!(before.is_none(), "a slot that works is given an attempt");
                }
                Order::Drop { slot } => {
                    let work = self.slots[slot].as_ref().expect("orders are for slots that work");
                    work.task.abort();
                    self.vacate(slot);
                }
                Order::HandBack { .. } => panic!("nobody drains a worker here"),
            }
        }
    }
}

fn hello(worker: WorkerId, held: Vec<Attempt>) -> Hello {
    Hello {
        worker,
        protocol: PROTOCOL,
        version: "0".to_owned(),
        engine_revision: ENGINE.to_owned(),
        instruction_set: INSTRUCTION_SET.to_owned(),
        host: format!("h{}", worker.0[0]),
        process: u32::from(worker.0[1]),
        slots: SLOTS,
        cores: SLOTS,
        memory_bytes: 1 << 30,
        held,
        time_left: None,
    }
}
