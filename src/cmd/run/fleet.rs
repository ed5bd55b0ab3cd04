//! The worker processes of a run: started together, replaced when one dies, told to leave together.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::poll_fn;
use std::pin::pin;
use std::process::ExitStatus;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::child::Child;
use super::place::Place;
use crate::failure::Failure;

/// Workers that may die in [`RESTART_WINDOW`] before the run gives up: one bad job can kill a few, a broken machine all.
const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// Workers whose seat is filled again when they die, until they leave in good order.
pub struct Fleet<'a> {
    place: &'a Place,
    arguments: Vec<OsString>,
    seats: Vec<Option<Child>>,
    deaths: Deaths,
}

/// What became of a worker that ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// It died, and another one took its seat.
    Replaced(ExitStatus),
    /// It was asked to leave, by this run or by somebody else.
    InGoodOrder,
}

impl<'a> Fleet<'a> {
    /// Starts `count` workers, each `gradsweep ARGUMENTS`.
    pub fn start(place: &'a Place, count: u32, arguments: Vec<OsString>) -> Result<Self, Failure> {
        let mut fleet = Self { place, arguments, seats: Vec::new(), deaths: Deaths::default() };
        for _ in 0..count {
            let child = fleet.child(fleet.seats.len())?;
            fleet.seats.push(Some(child));
        }
        Ok(fleet)
    }

    fn child(&self, seat: usize) -> Result<Child, Failure> {
        Child::start(self.place, &format!("worker-{}", seat + 1), &self.arguments)
    }

    /// Whether no worker is left.
    pub fn is_empty(&self) -> bool {
        self.seats.iter().all(Option::is_none)
    }

    /// Waits until a worker ends; `now` is asked for once one has. Waits for ever where there are none. Nothing is lost
    /// if the wait is given up.
    ///
    /// # Errors
    /// [`Failure::WorkersDie`] where they die faster than is worth starting new ones.
    pub async fn next_left(&mut self, now: fn() -> Instant) -> Result<Left, Failure> {
        let (seat, status) = self.next_end().await;
        // 0 and 75 are how a worker says that it was asked to leave.
        if matches!(status.code(), Some(0 | 75)) {
            self.seats[seat] = None;
            return Ok(Left::InGoodOrder);
        }
        let count = self.deaths.count(now());
        if let Some(child) = self.seats[seat].take_if(|_| count > RESTARTS_MAX) {
            let (log, tail) = (child.log().to_owned(), child.last_words());
            return Err(Failure::WorkersDie { status, count, log, tail });
        }
        self.seats[seat] = Some(self.child(seat)?);
        Ok(Left::Replaced(status))
    }

    async fn next_end(&mut self) -> (usize, ExitStatus) {
        poll_fn(|context| {
            for (index, seat) in self.seats.iter_mut().enumerate() {
                if let Some(child) = seat
                    && let Poll::Ready(status) = pin!(child.ended()).poll(context)
                {
                    return Poll::Ready((index, status));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Asks every worker to hand its work back and leave.
    pub fn ask_to_leave(&self) {
        self.seats.iter().flatten().for_each(Child::ask_to_leave);
    }

    /// Waits until every worker has ended, however it ends; those that are asked to leave are not replaced.
    pub async fn all_left(&mut self) {
        while !self.is_empty() {
            let (seat, _) = self.next_end().await;
            self.seats[seat] = None;
        }
    }

    /// Ends every worker at once.
    pub fn kill(&self) {
        self.seats.iter().flatten().for_each(Child::kill);
    }
}

/// When workers died lately.
#[derive(Debug, Default)]
struct Deaths(VecDeque<Instant>);

impl Deaths {
    /// Deaths in the window that ends `now`, with the one that happened now.
    fn count(&mut self, now: Instant) -> usize {
        self.0.push_back(now);
        while self.0.front().is_some_and(|&at| now.duration_since(at) > RESTART_WINDOW) {
            self.0.pop_front();
        }
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn only_deaths_of_the_last_minute_count() {
        let start = clock::now();
        let mut deaths = Deaths::default();
        let counts =
            [0, 10, 20, 75, 76, 300].map(|at| deaths.count(start + Duration::from_secs(at)));
        assert_eq!(counts, [1, 2, 3, 2, 3, 1]);
    }
}
