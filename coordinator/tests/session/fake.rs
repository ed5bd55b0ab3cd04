//! A coordinator in this process, and workers that the tests play.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use coordinator::{Config, ServeError};
use domain::table::JOBS;
use domain::{Cell, Digest, FileFacts, JobFigures, StepRow, Sweep, Table, WorkerId, sweep_file};
use proto::client::{Client, Incoming};
use proto::connection::Connection;
use proto::limits;
use proto::message::{
    Attempt, FromWorker, Grant, Hello, Outcome, Progress, RowBatch, Submission, Submitted, ToWorker,
};
use proto::rows;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub const LEASE: Duration = Duration::from_millis(600);
/// Longest any step of a test may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Running {
    pub stop: oneshot::Sender<()>,
    pub task: JoinHandle<Result<(), ServeError>>,
    pub connection: Connection,
}

pub fn config(folder: &Path, listen: &str) -> Config {
    Config {
        listen: listen.to_owned(),
        advertise: Some("127.0.0.1".to_owned()),
        journal: folder.join("journal"),
        results: store::Store::Folder(folder.join("results")),
        connection: folder.join("connection.json"),
        insecure: false,
        lease: LEASE,
    }
}

pub async fn start(folder: &Path, listen: &str) -> Running {
    serve(config(folder, listen)).await
}

pub async fn serve(config: Config) -> Running {
    let file = config.connection.clone();
    drop(std::fs::remove_file(&file));
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(coordinator::serve(config, async {
        drop(stopped.await);
    }));
    let connection = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Ok(connection) = Connection::read(&file) {
                return connection;
            }
            assert!(!task.is_finished(), "the coordinator ended at its start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let connection = connection.await.expect("the coordinator listens");
    Running { stop, task, connection }
}

impl Running {
    pub async fn client(&self) -> Client {
        Client::connect(&self.connection).await.expect("connects")
    }

    pub async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("does not panic").expect("stops in good order");
    }
}

pub fn sweep(seeds: u32) -> Sweep {
    let text = format!(
        "name = \"s\"\n[axes]\nseed = {{ start = 0, count = {seeds} }}\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n[data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n[run]\nattempts = 2\n"
    );
    let draft = sweep_file::parse(&text, "s.toml").expect("the test's sweep is valid");
    draft.resolve(&BTreeMap::new()).expect("it needs no files")
}

/// The content of a data set that no test reads.
pub const PICTURES: &[u8] = b"pictures";

/// A sweep of one convolutional network on so many threads.
pub fn images(threads: u32) -> Sweep {
    let text = format!(
        "name = \"s\"\n[model]\nkind = \"wrn\"\nwidth = 1\ndepth = 10\n[data]\nkind = \"cifar10\"\npath = \"p\"\n[train]\nsteps = 1\nstep_size = 0.1\n[run]\nthreads = {threads}\n"
    );
    let facts = FileFacts {
        digest: Digest::of(PICTURES),
        samples: 8,
        test_samples: 0,
        dim: 3_072,
        classes: 10,
    };
    let draft = sweep_file::parse(&text, "s.toml").expect("the test's sweep is valid");
    draft.resolve(&BTreeMap::from([("p".to_owned(), facts)])).expect("it fits the files")
}

pub async fn submit(client: &Client, seeds: u32) -> Submitted {
    hand_in(client, &sweep(seeds)).await
}

pub async fn hand_in(client: &Client, sweep: &Sweep) -> Submitted {
    client.submit(submission(sweep)).await.expect("is taken in")
}

pub fn submission(sweep: &Sweep) -> Submission {
    Submission {
        sweep: sweep.canonical(),
        file_name: "s.toml".into(),
        file_text: String::new(),
        revise: false,
        strict: false,
        engine_revision: "e1".into(),
    }
}

pub struct FakeWorker {
    pub say: mpsc::Sender<FromWorker>,
    pub hear: Incoming<ToWorker>,
    pub taken: u64,
}

pub fn hello(number: u8) -> Hello {
    Hello {
        worker: WorkerId([number; 16]),
        protocol: limits::PROTOCOL,
        version: "test".into(),
        engine_revision: "e1".into(),
        instruction_set: "avx2".into(),
        host: "h".into(),
        process: u32::from(number),
        slots: 4,
        cores: 4,
        memory_bytes: 1 << 30,
        held: vec![],
        time_left: None,
    }
}

impl FakeWorker {
    pub async fn join(client: &Client, hello: Hello) -> Self {
        let (say, outgoing) = mpsc::channel(64);
        say.send(FromWorker::Hello(hello)).await.expect("there is room");
        let hear = client.session(outgoing).await.expect("the session opens");
        let mut worker = Self { say, hear, taken: 0 };
        let welcome = worker.hear().await;
        assert!(matches!(welcome, ToWorker::Welcome { .. }), "{welcome:?}");
        worker
    }

    pub async fn say(&self, message: FromWorker) {
        self.say.send(message).await.expect("the session is open");
    }

    pub async fn hear(&mut self) -> ToWorker {
        let next = tokio::time::timeout(PATIENCE, self.hear.next()).await;
        next.expect("in time").expect("no error").expect("the session goes on")
    }

    pub async fn grant(&mut self) -> Grant {
        self.say(FromWorker::Capacity { free_slots: 1, taken: self.taken }).await;
        match self.hear().await {
            ToWorker::Grant(grant) => {
                self.taken += 1;
                grant
            }
            other => panic!("expected a grant, heard {other:?}"),
        }
    }

    /// Sends two rows of the training curve and a result; what the coordinator says of the result.
    pub async fn finish(&mut self, attempt: &Attempt) -> Option<String> {
        self.say(FromWorker::Rows(step_rows(attempt, 0))).await;
        match self.hear().await {
            ToWorker::Rows { next_row: 2, table: Table::Steps, .. } => {}
            other => panic!("expected an acknowledgement, heard {other:?}"),
        }
        self.commit(attempt).await
    }

    pub async fn commit(&mut self, attempt: &Attempt) -> Option<String> {
        self.say(FromWorker::Outcome(attempt.clone(), result())).await;
        match self.hear().await {
            ToWorker::Outcome { refusal, attempt: answered } => {
                assert_eq!(&answered, attempt);
                refusal
            }
            other => panic!("expected an answer to the outcome, heard {other:?}"),
        }
    }
}

pub fn step_rows(attempt: &Attempt, first_row: u64) -> RowBatch {
    let row = |step| StepRow { step, risk: Some(0.5), ..StepRow::default() }.into_row();
    RowBatch {
        attempt: attempt.clone(),
        table: Table::Steps,
        first_row,
        row_count: 2,
        cells: rows::encode(Table::Steps, &[row(first_row), row(first_row + 1)]),
    }
}

pub fn result() -> Outcome {
    result_of("e1")
}

pub fn result_of(engine: &str) -> Outcome {
    let figures = JobFigures { final_risk: Some(0.5), ..JobFigures::default() };
    let mut row = vec![Cell::Null; JOBS.len()];
    row[Table::Jobs.own_index("status").expect("is a column")] = figures.status().into();
    row[Table::Jobs.own_index("final_risk").expect("is a column")] = figures.final_risk.into();
    row[Table::Jobs.own_index("engine_revision").expect("is a column")] = engine.into();
    let cells = rows::encode(Table::Jobs, &[row]);
    Outcome::Result { steps_rows: 2, confusion_rows: 0, weights: 0, cells }
}

pub fn progress(attempt: &Attempt) -> Progress {
    let attempt = attempt.clone();
    Progress { attempt, step: 1, steps: 10, risk: None, min_cos: None, rms_cos: None }
}

/// Waits until the sweep is over; the counts.
pub async fn over(client: &Client) -> proto::message::JobCounts {
    let mut watch = client.watch(&"s".parse().expect("a name")).await.expect("watches");
    let end = async {
        loop {
            let progress = watch.next().await.expect("no error").expect("until it is over");
            if progress.is_over() {
                return progress.counts;
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.expect("the sweep ends")
}

pub fn files(folder: &Path, table: &str) -> Vec<String> {
    let folder = folder.join("results").join(table).join("sweep=s");
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("reads").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
