//! A worker process: the real clerk, pretended trials.

use std::collections::BTreeSet;

use domain::WorkerId;
use proto::limits::PROTOCOL;
use proto::message::{Attempt, Grant, Hello};
use worker::agent::clerk::{Clerk, Order};
use worker::agent::seats::Seated;

use super::trial::{ENGINE, INSTRUCTION_SET, Trial};

/// The number of a connection; a new one for each try.
pub type ConnectionNo = u64;

/// One worker process.
pub struct Hand {
    pub id: WorkerId,
    pub clerk: Clerk,
    pub slots: Vec<Option<Trial>>,
    pub connection: Option<ConnectionNo>,
    /// The last time that the coordinator was heard.
    pub heard_at: i64,
    pub welcome: bool,
    pub is_leaving: bool,
    /// Nothing happens in it until then.
    pub frozen_until: i64,
    /// Attempts that gave a result.
    pub results: BTreeSet<Attempt>,
}

impl Hand {
    /// A process that has just started.
    pub fn new(id: WorkerId, slots: u32) -> Self {
        Self {
            id,
            clerk: Clerk::new(slots),
            slots: (0..slots).map(|_| None).collect(),
            connection: None,
            heard_at: 0,
            welcome: false,
            is_leaving: false,
            frozen_until: 0,
            results: BTreeSet::new(),
        }
    }

    /// How it introduces itself.
    pub fn hello(&self, host: usize) -> Hello {
        Hello {
            worker: self.id,
            protocol: PROTOCOL,
            version: "0".to_owned(),
            engine_revision: ENGINE.to_owned(),
            instruction_set: INSTRUCTION_SET.to_owned(),
            host: format!("h{host}"),
            process: 1,
            slots: self.slots.len() as u32,
            cores: 4,
            memory_bytes: 1 << 30,
            held: self.clerk.attempts(),
            time_left: None,
        }
    }

    /// Does what the clerk says; the slots that start, and their grants.
    pub fn carry_out(&mut self, orders: Vec<Order>) -> Vec<(usize, Grant)> {
        let mut started = Vec::new();
        for order in orders {
            match order {
                Order::Start(seated) => {
                    let Seated { slot, grant } = *seated;
                    assert!(self.slots[slot].is_none(), "a slot that works is given an attempt");
                    self.slots[slot] = Some(Trial::start(&grant));
                    started.push((slot, grant));
                }
                Order::Drop { slot } => self.trial(slot).dropped = true,
                Order::HandBack { slot } => self.trial(slot).hand_back = true,
            }
        }
        started
    }

    fn trial(&mut self, slot: usize) -> &mut Trial {
        self.slots[slot].as_mut().expect("orders are for slots that work")
    }
}
