//! What is said of a job in every way that it can be.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::table::JOBS;
use domain::{
    Cell, Digest, Epoch, FailureClass, FailureReport, JobId, JournalId, StepRow, Sweep, Table,
    WorkerId, sweep_file,
};
use proto::limits::PROTOCOL;
use proto::message::{
    Attempt, Checkpoint, FromWorker, Hello, Outcome, Progress, RetryQuery, RowBatch, ToWorker,
};
use proto::rows;
use tokio::sync::{mpsc, oneshot};

use super::super::{Request, SessionNo, Settings};
use super::*;
use crate::machine::{Machine, Terms};

const LEASE: Duration = Duration::from_secs(9);

/// A core, the time, and one worker of one slot.
struct Desk {
    core: Core,
    now: Timestamp,
    worker: Option<(SessionNo, mpsc::Receiver<ToWorker>)>,
}

fn sweep(name: &str, seeds: u32, run: &str) -> Sweep {
    let text = format!(
        "name = \"{name}\"\n[axes]\nseed = {{ start = 0, count = {seeds} }}\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n\
         [data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n[run]\n{run}\n"
    );
    let draft = sweep_file::parse(&text, "s.toml").expect("the test's sweep is valid");
    draft.resolve(&BTreeMap::new()).expect("it needs no files")
}

impl Desk {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_000);
        let settings = Settings {
            lease: LEASE,
            journal: JournalId([9; 16]),
            epoch: Epoch(1),
            results: "RESULTS".into(),
            has_blob: Box::new(|_| true),
        };
        Self { core: Core::new(Machine::default(), settings, now), now, worker: None }
    }

    /// One turn of the loop, and all that it owes.
    fn turn(&mut self, request: Option<Request>) {
        self.core.turn(request.into_iter(), true, self.now);
        self.core.batch = Default::default();
        let owed = std::mem::take(&mut self.core.owed);
        for (worker, message) in owed.to_workers {
            self.core.roster.send(worker, message);
        }
        owed.replies.into_iter().for_each(|reply| reply());
    }

    /// Asks, and is answered.
    fn ask<T>(&mut self, request: impl FnOnce(super::super::Reply<T>) -> Request) -> T {
        let (reply, mut answer) = oneshot::channel();
        self.turn(Some(request(reply)));
        answer.try_recv().expect("is answered at once").expect("is not refused")
    }

    fn submit(&mut self, sweep: &Sweep) {
        let (sweep, jobs) = (Box::new(sweep.clone()), sweep.job_ids().into());
        let (file_name, file_text) = ("s.toml".to_owned(), String::new());
        let terms = Terms { revise: false, strict: false, engine_revision: "e1".into() };
        self.ask(|reply| Request::Submit { sweep, jobs, file_name, file_text, terms, reply });
    }

    /// Time goes by, in steps in which the loop is not away.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + (end - self.now).min(LEASE / 3);
            self.turn(None);
        }
    }

    fn join(&mut self) {
        let (outbox, inbox) = mpsc::channel(64);
        let hello = Hello {
            worker: WorkerId([1; 16]),
            protocol: PROTOCOL,
            version: "test".into(),
            engine_revision: "e1".into(),
            instruction_set: "avx2".into(),
            host: "h".into(),
            process: 7,
            slots: 1,
            cores: 4,
            memory_bytes: 1 << 30,
            held: vec![],
            time_left: None,
        };
        let session = self.ask(|reply| Request::Attach { hello, outbox, reply });
        self.worker = Some((session, inbox));
    }

    fn say(&mut self, message: FromWorker) {
        let (session, _) = self.worker.as_ref().expect("has joined");
        let session = *session;
        self.turn(Some(Request::FromWorker { worker: WorkerId([1; 16]), session, message }));
    }

    /// The worker asks for a job, and gets it.
    fn lease(&mut self) -> Attempt {
        if self.worker.is_none() {
            self.join();
        }
        self.say(FromWorker::Capacity { free_slots: 1, taken: u64::MAX });
        let (_, inbox) = self.worker.as_mut().expect("has joined");
        loop {
            if let ToWorker::Grant(grant) = inbox.try_recv().expect("it is given a job") {
                return grant.attempt;
            }
        }
    }

    fn fail(&mut self, report: FailureReport) {
        let attempt = self.lease();
        self.say(FromWorker::Outcome(attempt, Outcome::Failure(report)));
    }

    fn hand_back(&mut self, attempt: Attempt) {
        self.say(FromWorker::Outcome(attempt, Outcome::Released));
    }

    fn commit(&mut self) {
        let attempt = self.lease();
        let mut row = vec![Cell::Null; JOBS.len()];
        row[Table::Jobs.own_index("status").expect("is a column")] = "completed".into();
        row[Table::Jobs.own_index("engine_revision").expect("is a column")] = "e1".into();
        let cells = rows::encode(Table::Jobs, &[row]);
        let (steps_rows, confusion_rows, weights) = (0, 0, 0);
        let result = Outcome::Result { steps_rows, confusion_rows, weights, cells };
        self.say(FromWorker::Outcome(attempt, result));
    }

    /// The files of the planned segment are there.
    fn sealed(&mut self) {
        let sweep: SweepName = "s".parse().expect("a name");
        let planned = self.core.machine.lineage(&sweep).and_then(Lineage::planned);
        let segment = planned.expect("a segment is planned").segment.clone();
        self.turn(Some(Request::Sealed { sweep, segment, result: Ok(()) }));
    }

    fn tell_rows(&mut self, attempt: &Attempt) {
        let cells = rows::encode(Table::Steps, &[StepRow::default().into_row()]);
        let (table, first_row, row_count) = (Table::Steps, 0, 1);
        let attempt = attempt.clone();
        self.say(FromWorker::Rows(RowBatch { attempt, table, first_row, row_count, cells }));
    }
}

fn exit() -> FailureReport {
    FailureReport { exit_code: Some(3), ..FailureReport::new(FailureClass::Exit, "it broke") }
}

/// How a job got where it is, and what is said of it beyond its state and its point.
type Case = (&'static str, &'static str, fn(&mut Desk), &'static [&'static str]);

/// In each, the job is the first or the `last` of sweep `s`.
const CASES: &[Case] = &[
    (
        "nobody works",
        "first",
        |desk| desk.submit(&sweep("s", 1, "")),
        &["no worker is connected", "start one with `gradsweep worker --connection FILE`"],
    ),
    (
        "no worker that fits",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, "memory = \"2GiB\""));
            desk.join();
        },
        &[
            "none of the 1 connected workers fits and takes work: a job wants 1 threads and 2048 MiB",
        ],
    ),
    (
        "paused",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            desk.join();
            let sweep = "s".parse().expect("a name");
            desk.ask(|reply| Request::Pause { sweep, paused: true, reply });
        },
        &["the sweep is paused; `gradsweep resume s` lets it go on"],
    ),
    (
        "behind others, and a sweep of higher priority",
        "last",
        |desk| {
            desk.submit(&sweep("s", 3, ""));
            desk.submit(&sweep("urgent", 1, "priority = 5"));
            desk.join();
        },
        &[
            "it waits for one of the 1 slots that can run it",
            "2 jobs of the sweep go before it",
            "sweep urgent has a higher priority",
        ],
    ),
    (
        "running",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            let attempt = desk.lease();
            let (step, steps) = (4, 10);
            let (risk, min_cos, rms_cos) = (None, None, None);
            let progress = Progress { attempt, step, steps, risk, min_cos, rms_cos };
            desk.say(FromWorker::Heartbeat(vec![progress]));
        },
        &[
            "attempt 1 runs on h/7",
            "it is at step 4 of 10",
            "others get it if the worker is not heard for 9.0 s",
        ],
    ),
    (
        "to be tried again after an exit",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            desk.fail(exit());
        },
        &[
            "it is tried again in 1.0 s",
            "attempt 1 failed: exit: it broke (code 3)",
            "1 of 3 attempts failed, 0 of 3 leases were lost in a row",
        ],
    ),
    (
        "to be tried again after a signal that its message tells",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            let message = "the trial process was ended by SIGSEGV (11)";
            let report = FailureReport::new(FailureClass::Signal, message);
            desk.fail(FailureReport { signal: Some(11), ..report });
        },
        &[
            "it is tried again in 1.0 s",
            "attempt 1 failed: signal: the trial process was ended by SIGSEGV (11)",
            "1 of 3 attempts failed, 0 of 3 leases were lost in a row",
        ],
    ),
    (
        "its wait is over, and no slot is free",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            desk.fail(exit());
            desk.wait(Duration::from_secs(2));
        },
        &[
            "it waits for one of the 1 slots that can run it",
            "attempt 1 failed: exit: it broke (code 3)",
            "1 of 3 attempts failed, 0 of 3 leases were lost in a row",
        ],
    ),
    (
        "running again after a failure",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            desk.fail(exit());
            desk.wait(Duration::from_secs(2));
            desk.lease();
        },
        &[
            "attempt 2 runs on h/7",
            "others get it if the worker is not heard for 9.0 s",
            "one before failed: exit: it broke (code 3)",
            "1 of 3 attempts failed, 0 of 3 leases were lost in a row",
        ],
    ),
    (
        "suspect",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            for _ in 0..2 {
                desk.lease();
                desk.wait(LEASE);
            }
        },
        &[
            "its workers were lost twice in a row: it may be what kills them",
            "it is tried once more when a worker has nothing else to do, alone",
            "attempt 2 failed: lease-lost: the lease of worker 01010101010101010101010101010101 ran out",
            "0 of 3 attempts failed, 2 of 3 leases were lost in a row",
        ],
    ),
    (
        "handed back with what it had told and stored",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            let attempt = desk.lease();
            desk.tell_rows(&attempt);
            let checkpoint = Checkpoint {
                digest: Digest([1; 32]),
                step: 5,
                steps_rows: 1,
                confusion_rows: 0,
                engine_revision: "e1".into(),
                instruction_set: "avx2".into(),
            };
            desk.say(FromWorker::Checkpoint(attempt.clone(), checkpoint));
            desk.hand_back(attempt);
        },
        &[
            "it waits for one of the 1 slots that can run it",
            "attempt 1 was handed back, which costs the job nothing",
            "its checkpoint at step 5 is kept for the next attempt",
        ],
    ),
    (
        "handed back after a failure",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            desk.fail(exit());
            desk.wait(Duration::from_secs(2));
            let attempt = desk.lease();
            desk.hand_back(attempt);
        },
        &[
            "it waits for one of the 1 slots that can run it",
            "attempt 2 was handed back, which costs the job nothing; before that one failed: exit: it broke (code 3)",
            "1 of 3 attempts failed, 0 of 3 leases were lost in a row",
        ],
    ),
    (
        "asked for again after it was given up",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, "attempts = 1"));
            desk.fail(exit());
            let (sweep, which) = ("s".parse().expect("a name"), RetryQuery::Failed(None));
            assert_eq!(desk.ask(|reply| Request::Retry { sweep, which, reply }), 1);
        },
        &[
            "it waits for one of the 1 slots that can run it",
            "attempt 1 was handed back before it had told anything, or the job was given up or cancelled and then asked for again",
        ],
    ),
    (
        "given up",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, "attempts = 1"));
            desk.fail(exit());
        },
        &[
            "given up after exit: it broke (code 3)",
            "`gradsweep retry s --job JOB` queues it again",
            "1 of 1 attempts failed, 0 of 3 leases were lost in a row",
        ],
    ),
    (
        "cancelled",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            let sweep = "s".parse().expect("a name");
            assert_eq!(desk.ask(|reply| Request::Cancel { sweep, job: None, reply }), 1);
        },
        &["`gradsweep retry s --job JOB` queues it again"],
    ),
    (
        "done, and not sealed",
        "first",
        |desk| {
            desk.submit(&sweep("s", 2, ""));
            desk.commit();
        },
        &[
            "attempt 1 gave its result",
            "its rows are in the journal; `gradsweep flush s` writes them",
        ],
    ),
    (
        "done, and being sealed",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            desk.commit();
        },
        &[
            "attempt 1 gave its result",
            "its rows are in the journal; `gradsweep flush s` writes them",
        ],
    ),
    (
        "kept from an earlier revision",
        "first",
        |desk| {
            desk.submit(&sweep("s", 1, ""));
            desk.commit();
            desk.sealed();
            desk.submit(&sweep("s", 2, ""));
        },
        &[
            "attempt 1 gave its result",
            "its rows are in RESULTS",
            "revision FIRST asked for it first, and it was kept",
        ],
    ),
    (
        "dropped by a revision",
        "last",
        |desk| {
            desk.submit(&sweep("s", 3, ""));
            desk.submit(&sweep("s", 1, ""));
        },
        &[
            "the sweep's current revision CURRENT does not ask for it",
            "hand in a sweep file whose grid holds it, and it runs",
        ],
    ),
];

#[test]
fn every_way_in_which_a_job_can_be_is_explained() {
    for (what, which, arrange, expected) in CASES {
        let mut desk = Desk::new();
        arrange(&mut desk);
        let name: SweepName = "s".parse().expect("a name");
        let lineage = desk.core.machine.lineage(&name).expect("is known");
        let number = if *which == "first" { 0 } else { lineage.job_count() as JobNo - 1 };
        let job = lineage.job(number).id.to_string();
        let current = lineage.current().id.to_string();
        let said = desk.core.explain(&name, &job, desk.now).expect("is explained");
        let words = [("JOB", job), ("FIRST", lineage.origin(number).to_string())];
        let expected = expected.iter().map(|line| {
            let line =
                words.iter().fold(line.to_string(), |line, (word, id)| line.replace(word, id));
            line.replace("CURRENT", &current)
        });
        assert_eq!(said[2..], expected.collect::<Vec<_>>(), "{what}: {said:?}");
    }
}

#[test]
fn a_job_that_stays_at_a_step_is_said_to() {
    let attempt = Attempt {
        sweep: "s".parse().expect("a good name"),
        job: JobId([1; 16]),
        number: AttemptNo(1),
    };
    let at = |step| Progress {
        attempt: attempt.clone(),
        step,
        steps: 10,
        risk: None,
        min_cos: None,
        rms_cos: None,
    };
    let time = |seconds: i64| Timestamp::from_millis(1_000 * seconds);
    let mut heard = Heard::after(None, at(3), time(0));
    for now in [5, 10, 100] {
        heard = Heard::after(Some(&heard), at(3), time(now));
    }
    assert_eq!(how_far(&heard, time(59)).as_deref(), Some("it is at step 3 of 10"));
    let still = "it is at step 3 of 10, and has not moved for 100.0 s";
    assert_eq!(how_far(&heard, time(100)).as_deref(), Some(still));
    heard = Heard::after(Some(&heard), at(4), time(101));
    assert_eq!(how_far(&heard, time(102)).as_deref(), Some("it is at step 4 of 10"));
}

#[test]
fn a_job_is_found_by_the_first_digits_of_its_id() {
    let id: JobId = "0123456789abcdef0123456789abcdef".parse().expect("is an id");
    for prefix in ["", "0", "0123", "01234", &id.to_string()] {
        assert!(begins_with(id, prefix), "{prefix}");
    }
    for other in ["1", "0124", "0123A", "0123456789ABCDEF", &format!("{id}0")] {
        assert!(!begins_with(id, other), "{other}");
    }
}
