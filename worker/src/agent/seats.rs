//! The slots as the clerk sees them: who works on what, and the grants for which none is free.

use std::collections::VecDeque;

use proto::limits::AHEAD_MAX;
use proto::message::{Attempt, Grant};

/// The slots of one worker. Pure: what a slot is told to do is the desk's to carry out.
#[derive(Debug)]
pub struct Seats {
    running: Vec<Option<Attempt>>,
    /// Grants beyond the free slots: those that were asked for ahead.
    waiting: VecDeque<Grant>,
}

/// A grant and the slot that is to work on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seated {
    pub slot: usize,
    pub grant: Grant,
}

impl Seats {
    /// `count` free slots.
    pub fn new(count: u32) -> Self {
        Self { running: vec![None; count as usize], waiting: VecDeque::new() }
    }

    /// Takes a grant in, to run now or when a slot is free; `None`: there are too many already. Else what starts now.
    pub fn admit(&mut self, grant: Grant) -> Option<Vec<Seated>> {
        // More than this nobody asks for.
        if self.waiting.len() >= self.running.len() * (1 + AHEAD_MAX as usize) {
            return None;
        }
        self.waiting.push_back(grant);
        Some(self.fill())
    }

    /// The slot's attempt is over; what starts next.
    pub fn vacate(&mut self, slot: usize) -> Vec<Seated> {
        self.running[slot] = None;
        self.fill()
    }

    fn fill(&mut self) -> Vec<Seated> {
        let mut seated = Vec::new();
        for (slot, seat) in self.running.iter_mut().enumerate().filter(|(_, s)| s.is_none()) {
            let Some(grant) = self.waiting.pop_front() else { break };
            *seat = Some(grant.attempt.clone());
            seated.push(Seated { slot, grant });
        }
        seated
    }

    /// Forgets an attempt whose work nobody wants, if it waits; the slot that is to stop it, if one works on it.
    pub fn stop(&mut self, attempt: &Attempt) -> Option<usize> {
        self.waiting.retain(|grant| grant.attempt != *attempt);
        self.running.iter().position(|running| running.as_ref() == Some(attempt))
    }

    /// The slots that work.
    pub fn working(&self) -> Vec<usize> {
        let running = self.running.iter().enumerate().filter(|(_, running)| running.is_some());
        running.map(|(slot, _)| slot).collect()
    }

    /// The attempts that have not started; they wait no longer.
    pub fn give_up_waiting(&mut self) -> Vec<Attempt> {
        self.waiting.drain(..).map(|grant| grant.attempt).collect()
    }

    /// Grants that can be taken if `ahead` a slot may wait.
    pub fn free(&self, ahead: u32) -> u32 {
        let free = self.running.iter().filter(|running| running.is_none()).count();
        let room = free + self.running.len() * ahead as usize;
        u32::try_from(room.saturating_sub(self.waiting.len())).unwrap_or(u32::MAX)
    }

    /// Whether no slot works.
    pub fn is_idle(&self) -> bool {
        self.running.iter().all(Option::is_none)
    }
}
