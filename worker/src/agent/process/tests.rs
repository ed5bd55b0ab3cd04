//! The trial process through real pipes: jobs run, run again, stop, go on with the same bits, and fail.

use std::io::{PipeReader, PipeWriter, pipe};
use std::thread::JoinHandle;

use domain::spec::{
    Activation, At, Confusion, Data, DataKind, Init, Labels, Loss, Measure, Mode, Model, Precision,
    Sampling, Seeds, Shape, Train,
};

use super::*;
use crate::agent::message::Resume;

/// A linear regression of a few numbers; its canonical text comes from the spec itself.
pub fn tiny_spec(steps: u64) -> JobSpec {
    JobSpec {
        model: Model {
            shape: Shape::Linear,
            output: Activation::Identity,
            init: Init::UnitGaussian,
            bias: false,
            outputs: 1,
            precision: Precision::F64,
        },
        data: Data {
            kind: DataKind::Gaussian,
            samples: 8,
            dim: 4,
            labels: Labels::Linear,
            noise: 0.0,
            test_samples: 0,
            digest: None,
        },
        train: Train {
            loss: Loss::Squared,
            batch: 1,
            steps,
            step_size: 0.05,
            schedule: vec![],
            sampling: Sampling::Uniform,
            momentum: 0.0,
            weight_decay: 0.0,
            augment: false,
            stop_below: None,
        },
        measure: Measure {
            at: At::Log(12),
            confusion: vec![Confusion::Samples { count: 4, average: Vec::new() }],
            layers: false,
            mode: Mode::Eval,
        },
        seeds: Seeds::all(3),
    }
}

/// A trial process on a thread of this one.
struct Process {
    orders: PipeWriter,
    said: PipeReader,
    thread: JoinHandle<io::Result<()>>,
}

impl Process {
    fn start() -> Self {
        let (input, orders) = pipe().expect("a pipe");
        let (said, mut output) = pipe().expect("a pipe");
        // Where the real one exits, this one only stops reading: its jobs then end, as no more come.
        let thread = std::thread::spawn(move || serve(input, &mut output, || ()));
        Self { orders, said, thread }
    }

    fn tell(&mut self, message: &ToTrial) {
        Frame::from(message).write(&mut self.orders).expect("the process listens");
    }

    fn hear(&mut self) -> FromTrial {
        let frame = Frame::read(&mut self.said).expect("a frame").expect("more to hear");
        FromTrial::try_from(frame).expect("a message")
    }

    /// Everything up to the end of the job.
    fn hear_job(&mut self) -> Vec<FromTrial> {
        let mut heard = Vec::new();
        loop {
            let message = self.hear();
            let is_last = matches!(
                message,
                FromTrial::Done { .. } | FromTrial::Stopped { .. } | FromTrial::Failed { .. }
            );
            // Whether there is any depends on the clock.
            if !matches!(message, FromTrial::Progress { .. }) {
                heard.push(message);
            }
            if is_last {
                return heard;
            }
        }
    }

    fn end(mut self) {
        self.tell(&ToTrial::Exit);
        self.thread.join().expect("no panic").expect("no failed pipe");
    }
}

fn start(tag: u64, spec: &JobSpec, resume: Option<Resume>) -> ToTrial {
    ToTrial::Start(keeping(tag, spec, resume, "none"))
}

fn keeping(tag: u64, spec: &JobSpec, resume: Option<Resume>, keep: &str) -> Start {
    let (spec, keep_weights) = (spec.canonical(), keep.to_owned());
    Start { tag, spec, bundle: None, resume, threads: 1, keep_weights }
}

/// The stable cells of all rows of a table, as text, from the number of the first one.
fn stable_rows(table: Table, heard: &[FromTrial]) -> (u64, Vec<String>) {
    let (mut first, mut rows_seen) = (None, Vec::new());
    for message in heard {
        if let FromTrial::Rows { table: other, first_row, row_count, cells } = message
            && *other == table
        {
            assert_eq!(*first.get_or_insert(*first_row) + rows_seen.len() as u64, *first_row);
            let batch = rows::decode(table, cells, *row_count).expect("rows");
            for row in batch {
                let columns = table.own_columns().iter().zip(row);
                let cells = columns.filter(|(column, _)| !column.volatile);
                let cells: Vec<_> = cells.map(|(_, cell)| format!("{cell:?}")).collect();
                rows_seen.push(cells.join("|"));
            }
        }
    }
    (first.unwrap_or(0), rows_seen)
}

#[test]
fn a_job_tells_its_rows_then_its_end_and_the_same_again() {
    let spec = tiny_spec(200);
    let mut process = Process::start();
    process.tell(&start(1, &spec, None));
    let heard = process.hear_job();
    let (steps, confusion) =
        (stable_rows(Table::Steps, &heard), stable_rows(Table::Confusion, &heard));
    assert_eq!((steps.0, steps.1.len()), (0, spec.measured_steps().len()));
    let Some(FromTrial::Done { steps_rows, confusion_rows, weights: 0, cells }) = heard.last()
    else {
        panic!("no result: {:?}", heard.last());
    };
    assert_eq!((*steps_rows, *confusion_rows), (steps.1.len() as u64, confusion.1.len() as u64));
    rows::check(Table::Jobs, cells, 1).expect("a jobs row");

    process.tell(&start(2, &spec, None));
    let again = process.hear_job();
    assert_eq!(stable_rows(Table::Steps, &again), steps);
    assert_eq!(stable_rows(Table::Confusion, &again), confusion);
    process.end();
}

#[test]
fn weights_come_behind_their_rows_and_are_counted_from_the_first_attempt_on() {
    let spec = tiny_spec(20_000);
    let kept = |heard: &[FromTrial]| -> Vec<(u64, u64)> {
        let mut rows = 0;
        let told = heard.iter().filter_map(|message| match message {
            FromTrial::Rows { table: Table::Steps, first_row, row_count, .. } => {
                rows = first_row + u64::from(*row_count);
                None
            }
            FromTrial::Weights { step, .. } => Some((*step, rows)),
            _ => None,
        });
        told.collect()
    };
    let mut whole = Process::start();
    whole.tell(&ToTrial::Start(keeping(1, &spec, None, "measured")));
    let heard = whole.hear_job();
    whole.end();
    let expected: Vec<_> = spec.measured_steps().into_iter().zip(1..).collect();
    assert_eq!(kept(&heard), expected);
    let count = expected.len() as u64;
    assert!(matches!(heard.last(), Some(FromTrial::Done { weights, .. }) if *weights == count));

    let mut first = Process::start();
    first.tell(&ToTrial::Stop { tag: 7, keep: true });
    first.tell(&ToTrial::Start(keeping(7, &spec, None, "measured")));
    let heard = first.hear_job();
    first.end();
    let checkpoint = heard.iter().find_map(|message| match message {
        FromTrial::Checkpoint { steps_rows, confusion_rows, bytes, .. } => {
            Some((*steps_rows, *confusion_rows, bytes))
        }
        _ => None,
    });
    let (steps_rows, confusion_rows, bytes) = checkpoint.expect("it was asked for");
    assert_eq!(kept(&heard), expected[..steps_rows as usize]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    let path = file.path().to_str().expect("UTF-8").to_owned();
    let mut second = Process::start();
    let resume = Some(Resume { path, steps_rows, confusion_rows });
    second.tell(&ToTrial::Start(keeping(1, &spec, resume, "measured")));
    let heard = second.hear_job();
    second.end();
    assert_eq!(kept(&heard), expected[steps_rows as usize..]);
    assert!(matches!(heard.last(), Some(FromTrial::Done { weights, .. }) if *weights == count));
}

#[test]
fn a_job_that_was_handed_back_goes_on_elsewhere_with_the_same_rows() {
    let spec = tiny_spec(20_000);
    let mut whole = Process::start();
    whole.tell(&start(1, &spec, None));
    let whole_heard = whole.hear_job();
    whole.end();

    let mut first = Process::start();
    // Orders name their job. This one is here before its job is, so the first step that may is its last.
    // (That a trial goes on with the same bits from any step is the trial's own test.)
    first.tell(&ToTrial::Stop { tag: 7, keep: true });
    first.tell(&ToTrial::Stop { tag: 6, keep: false });
    first.tell(&start(7, &spec, None));
    let mut heard = first.hear_job();
    first.end();
    assert!(matches!(heard.last(), Some(FromTrial::Stopped { .. })), "{:?}", heard.last());
    let Some(FromTrial::Checkpoint { steps_rows, confusion_rows, bytes, .. }) =
        heard.iter().rfind(|message| matches!(message, FromTrial::Checkpoint { .. }))
    else {
        panic!("no checkpoint: {heard:?}");
    };
    assert!(*steps_rows > 0, "rows before the checkpoint keep their numbers");
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    let path = file.path().to_str().expect("UTF-8").to_owned();
    let resume = Resume { path, steps_rows: *steps_rows, confusion_rows: *confusion_rows };

    let mut second = Process::start();
    second.tell(&start(1, &spec, Some(resume)));
    heard.extend(second.hear_job());
    second.end();
    for table in [Table::Steps, Table::Confusion] {
        assert_eq!(stable_rows(table, &heard), stable_rows(table, &whole_heard), "{table:?}");
    }
}

#[test]
fn a_job_that_cannot_run_says_why_and_the_next_one_runs() {
    let spec = tiny_spec(10);
    let mut process = Process::start();
    let bad = Start { spec: "{}".into(), ..keeping(1, &spec, None, "none") };
    process.tell(&ToTrial::Start(bad));
    let refused = process.hear_job();
    assert!(
        matches!(&refused[..], [FromTrial::Failed { class: FailureClass::Refused, .. }]),
        "{refused:?}"
    );
    for path in ["/no/such/file", "/dev/null"] {
        let resume = Resume { path: path.to_owned(), steps_rows: 0, confusion_rows: 0 };
        process.tell(&start(2, &spec, Some(resume)));
        let heard = process.hear_job();
        assert!(
            matches!(&heard[..], [FromTrial::Failed { class: FailureClass::Input, .. }]),
            "{heard:?}"
        );
    }
    process.tell(&start(3, &spec, None));
    assert!(matches!(process.hear_job().last(), Some(FromTrial::Done { .. })));
    process.end();
}

#[test]
fn the_end_of_the_agent_is_noticed_while_a_job_runs() {
    let (input, mut orders) = pipe().expect("a pipe");
    let (_said, mut output) = pipe().expect("a pipe");
    let (sender, gone) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        serve(input, &mut output, move || sender.send(()).expect("the test waits"))
    });
    let stuck = tiny_spec(20_000);
    Frame::from(&start(1, &stuck, None)).write(&mut orders).expect("written");
    drop(orders);
    gone.recv().expect("the end is noticed by the reading thread, whatever the other does");
    thread.join().expect("no panic").expect("the pipe takes what a short job says");
}

#[test]
fn a_panic_is_told_with_its_words() {
    let words = |panic: Box<dyn Any + Send>| words_of(&*panic).to_owned();
    assert_eq!(words(Box::new("borrowed")), "borrowed");
    assert_eq!(words(Box::new("owned".to_owned())), "owned");
    assert_eq!(words(Box::new(7)), "no message");
}
