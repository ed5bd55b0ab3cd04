//! The decoders, each with samples of what it reads and with what must hold of what it accepts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use coordinator::journal::{Batch, LogJournal, SpoolChange, SpooledRows};
use coordinator::machine::{Event, HandedIn, Snapshot, Submitted};
use coordinator::sink::Head;
use domain::spec::KeepWeights;
use domain::{
    AttemptNo, Cell, ConfusionRow, Digest, FailureClass, FailureReport, JobId, JobSpec, JournalId,
    Row, StepRow, Sweep, SweepId, Table, Timestamp, WorkerId, sweep_file,
};
use proto::limits::PROTOCOL;
use proto::message::{
    Attempt, Checkpoint, FromWorker, Grant, Hello, Kept, LiveBatch, LiveRows, Outcome, Progress,
    RowBatch, Submission, ToWorker,
};
use proto::{rows, untrusted};
use safetensors::tensor::{Dtype, TensorView};
use worker::data::bundle::{Bundle, read_folder};
use worker::trial::{self, Given, Observer, Wish};

use super::memory::files;

/// Decodes, checks what it accepted, and says whether it did.
type Decode = Box<dyn Fn(&[u8]) -> bool>;

/// A decoder.
pub struct Target {
    pub name: &'static str,
    pub samples: Vec<Vec<u8>>,
    pub decode: Decode,
    /// Bytes of memory that any input may take, beside 64 for each of its own.
    pub bytes_max: usize,
    /// How much longer an input takes than a short one.
    pub cost: u64,
}

impl Target {
    fn new(
        name: &'static str,
        samples: Vec<Vec<u8>>,
        decode: impl Fn(&[u8]) -> bool + 'static,
    ) -> Self {
        Self { name, samples, decode: Box::new(decode), bytes_max: 4 << 20, cost: 1 }
    }
}

/// All of them.
pub fn all() -> Vec<Target> {
    vec![
        sweeps(),
        canonical_sweeps(),
        specs(),
        wire(),
        batches(),
        journal(),
        idx(),
        cifar(),
        bundles(),
        checkpoints(),
        weights(),
    ]
}

const SWEEP: &str = r#"
name = "fuzzed"
[axes]
seed = { start = 0, count = 3 }
model.width = [4, 8]
train.step_size = { logspace = [1e-3, 1e-1, 3] }
[model]
kind = "mlp"
depth = 2
activation = "tanh"
[data]
kind = "sphere"
samples = 8
dim = 4
[train]
steps = 10
[measure]
confusion = { scopes = ["samples"], at = { every = 5 } }
[run]
attempts = 2
"#;

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Sweep files that are kept in the repository.
fn kept_sweeps() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps");
    let entries = fs::read_dir(folder).expect("the sweeps are there").flatten();
    entries.map(|entry| fs::read(entry.path()).expect("reads")).collect()
}

fn quickstart() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps/quickstart.toml");
    fs::read_to_string(path).expect("reads")
}

/// The same, with averages over minibatches.
fn averaged() -> String {
    let averaged = quickstart().replace("count = 100 }", "count = 100, average = [2, 10] }");
    assert!(averaged.contains("average"), "quickstart measures 100 examples");
    averaged
}

fn sweep() -> Sweep {
    sweep_of(&quickstart())
}

fn sweep_of(file: &str) -> Sweep {
    let draft = sweep_file::parse(file, "quickstart.toml").expect("is valid");
    draft.resolve(&BTreeMap::new()).expect("needs no files")
}

/// A sweep file may ask for ten million points in few bytes: its memory is bounded by that.
fn sweeps() -> Target {
    let decode = |bytes: &[u8]| text(bytes).is_some_and(|t| sweep_file::parse(t, "f").is_ok());
    let samples = [kept_sweeps(), vec![averaged().into_bytes()]].concat();
    let target = Target::new("sweep file", samples, decode);
    Target { bytes_max: 1 << 30, cost: 4, ..target }
}

fn canonical_sweeps() -> Target {
    let decode = |bytes: &[u8]| {
        let Some(text) = text(bytes) else { return false };
        let Ok(sweep) = Sweep::from_canonical(text) else { return false };
        let again = Sweep::from_canonical(&sweep.canonical()).expect("it wrote this itself");
        assert_eq!(again.id(), sweep.id());
        true
    };
    let samples = [sweep(), sweep_of(&averaged())].map(|sweep| sweep.canonical().into_bytes());
    let target = Target::new("sweep", samples.into(), decode);
    Target { bytes_max: 64 << 20, cost: 4, ..target }
}

fn specs() -> Target {
    let samples =
        [sweep(), sweep_of(&averaged())].map(|sweep| sweep.job(0).canonical().into_bytes());
    Target::new("job spec", samples.into(), |bytes| {
        let Some(text) = text(bytes) else { return false };
        let Ok(spec) = JobSpec::from_canonical(text) else { return false };
        assert_eq!(spec.canonical(), text, "one job has one text");
        true
    })
}

fn attempt() -> Attempt {
    let sweep = "fuzzed".parse().expect("a good name");
    Attempt { sweep, job: JobId([3; 16]), number: AttemptNo(2) }
}

fn wire() -> Target {
    let hello = Hello {
        worker: WorkerId([7; 16]),
        protocol: PROTOCOL,
        version: "0".into(),
        engine_revision: "e".into(),
        instruction_set: "avx2".into(),
        host: "h".into(),
        process: 1,
        slots: 2,
        cores: 4,
        memory_bytes: 1 << 30,
        held: vec![attempt()],
        time_left: Some(Duration::from_secs(9)),
    };
    let checkpoint = || Checkpoint {
        digest: Digest([1; 32]),
        step: 5,
        steps_rows: 2,
        confusion_rows: 1,
        engine_revision: "e".into(),
        instruction_set: "avx2".into(),
    };
    let attempt = attempt();
    let progress = Progress {
        attempt: attempt.clone(),
        step: 1,
        steps: 2,
        risk: Some(0.5),
        min_cos: None,
        rms_cos: Some(0.1),
    };
    let cells = rows::encode(Table::Steps, &[StepRow::default().into_row()]);
    let (table, first_row, row_count) = (Table::Steps, 4, 1);
    let live = LiveRows {
        job: attempt.job,
        spec: "{}".into(),
        sweep_id: SweepId([3; 16]),
        attempt: attempt.number,
        queued_at: Timestamp::from_micros(5),
        table,
        batches: vec![LiveBatch { first_row, row_count, cells: cells.clone() }],
    };
    let batch = RowBatch { attempt: attempt.clone(), table, first_row, row_count, cells };
    let report = FailureReport::new(FailureClass::Exit, "exit code 3");
    let result =
        Outcome::Result { steps_rows: 1, confusion_rows: 0, weights: 1, cells: vec![1, 2] };
    let said = [
        FromWorker::Hello(hello),
        FromWorker::Capacity { free_slots: 3, taken: 5 },
        FromWorker::Heartbeat(vec![progress]),
        FromWorker::Rows(batch),
        FromWorker::Checkpoint(attempt.clone(), checkpoint()),
        FromWorker::Weights(attempt.clone(), Kept { step: 5, digest: Digest([2; 32]) }),
        FromWorker::Outcome(attempt.clone(), result),
        FromWorker::Outcome(attempt.clone(), Outcome::Failure(report)),
    ];
    let grant = Grant {
        attempt: attempt.clone(),
        spec: "{}".into(),
        resume: Some(checkpoint()),
        timeout: Some(Duration::from_secs(7)),
        checkpoint: Duration::from_secs(1),
        memory_bytes: 9,
        data_path: Some("p".into()),
        threads: 3,
        keep_weights: KeepWeights::Final,
    };
    let heard = [
        ToWorker::Grant(grant),
        ToWorker::Rows { attempt: attempt.clone(), table, next_row: 9 },
        ToWorker::Revoke { attempt, reason: "r".into() },
    ];
    let submission = Submission {
        sweep: "{}".into(),
        file_name: "f".into(),
        file_text: "t".into(),
        revise: true,
        strict: false,
        engine_revision: "e".into(),
    };
    let said = said.into_iter().map(untrusted::of_worker);
    let samples = said.chain(heard.into_iter().map(untrusted::to_worker));
    let asked = [untrusted::submission(submission), untrusted::live_rows(live)];
    let samples = samples.chain(asked).collect();
    Target::new("wire", samples, |bytes| untrusted::read_as_everything(bytes) > 0)
}

/// A batch's table and count of rows travel beside it; here they are its first two bytes.
fn batches() -> Target {
    let sample = |table: usize, rows: Vec<Row>| {
        let mut bytes = vec![table as u8, rows.len() as u8];
        bytes.extend(rows::encode(Table::ALL[table], &rows));
        bytes
    };
    let jobs = vec![vec![Cell::Null; Table::Jobs.own_columns().len()]];
    let step = |step| StepRow { step, risk: Some(0.5), ..StepRow::default() }.into_row();
    let histogram = Some((0..200).collect());
    let confusion = ConfusionRow { scope: "samples", histogram, ..ConfusionRow::default() };
    let samples = vec![
        sample(0, jobs),
        sample(1, (0..20).map(step).collect()),
        sample(2, vec![confusion.clone().into_row(), confusion.into_row()]),
    ];
    let target = Target::new("rows", samples, |bytes| {
        let [table, count, cells @ ..] = bytes else { return false };
        let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
        let Ok(decoded) = rows::decode(table, cells, u32::from(*count)) else { return false };
        let again = rows::encode(table, &decoded);
        assert_eq!(rows::decode(table, &again, u32::from(*count)), Ok(decoded));
        true
    });
    // 255 rows of one text that is as long as is accepted in all of them.
    Target { bytes_max: 16 << 20, ..target }
}

/// A log with everything in it, and its mark.
fn log() -> (Vec<u8>, Vec<u8>) {
    let (files, [log, mark]) = files(&[], &[]);
    let opened = LogJournal::open_on(files, Path::new("journal"), JournalId([5; 16]));
    let (journal, _) = opened.expect("a new journal opens");
    let sweep = sweep();
    let (name, jobs) = (sweep.name().clone(), sweep.job_ids());
    let revision = HandedIn {
        canonical: sweep.canonical(),
        file_name: "f".into(),
        file_text: SWEEP.into(),
        at: Timestamp::ZERO,
    };
    let job = jobs[0];
    let submitted = Event::Submitted(Submitted { revision, jobs: jobs.into() });
    let paused = Event::Paused { sweep: name.clone(), paused: true };
    let rows = SpooledRows { first_row: 0, row_count: 2, cells: vec![1, 2, 3] };
    let put = SpoolChange::Put { sweep: name.clone(), job, table: Table::Steps, rows };
    for events in [vec![submitted], vec![paused.clone(), paused]] {
        let batch = Batch { events, spool: vec![put.clone()] };
        journal.append_now(&batch).expect("there is room");
    }
    (log.bytes(), mark.bytes())
}

/// What was acknowledged is read back, or the journal is refused: never less in silence.
fn journal() -> Target {
    let (log, mark) = log();
    let open = move |log: &[u8]| {
        let (files, _) = files(log, &mark);
        LogJournal::open_on(files, Path::new("journal"), JournalId([6; 16])).ok()
    };
    let (_, whole) = open(&log).expect("it opens as it was left");
    assert_eq!(whole.events.len(), 3, "it tells what was put in");
    let target = Target::new("journal", vec![log], move |bytes| {
        let Some((_, replay)) = open(bytes) else { return false };
        assert_eq!(replay.snapshot, Snapshot::default());
        assert_eq!(replay.events, whole.events, "acknowledged events are missing");
        true
    });
    Target { cost: 4, ..target }
}

/// Reads `bytes` as the file of this name of a data set whose other files are `others`.
fn in_folder(others: Vec<(&'static str, Vec<u8>)>, name: &'static str) -> impl Fn(&[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (other, bytes) in &others {
        fs::write(folder.path().join(other), bytes).expect("there is room");
    }
    move |bytes| {
        fs::write(folder.path().join(name), bytes).expect("there is room");
        let Ok(bundle) = read_folder(folder.path()) else { return false };
        let again = Bundle::from_bytes(bundle.as_bytes()).expect("it wrote this itself");
        assert_eq!(again.digest(), bundle.digest());
        true
    }
}

fn idx_images() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2];
    bytes.extend(0..12);
    bytes
}

fn idx_labels() -> Vec<u8> {
    vec![0, 0, 8, 1, 0, 0, 0, 2, 1, 0]
}

fn idx() -> Target {
    let images = idx_images();
    // The same as gzip: stored, not compressed.
    let mut zipped = vec![31, 139, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    zipped.extend((images.len() as u16).to_le_bytes());
    zipped.extend((!(images.len() as u16)).to_le_bytes());
    zipped.extend(&images);
    zipped.extend(crc32(&images).to_le_bytes());
    zipped.extend((images.len() as u32).to_le_bytes());
    let decode =
        in_folder(vec![("train-labels-idx1-ubyte", idx_labels())], "train-images-idx3-ubyte");
    Target { cost: 2, ..Target::new("IDX", vec![images, zipped], decode) }
}

/// The checksum of gzip, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn cifar_record(label: u8) -> Vec<u8> {
    let mut record = vec![label];
    record.extend((0..3_072u32).map(|pixel| pixel as u8));
    record
}

fn cifar() -> Target {
    let names = [
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
    ];
    let others = names.map(|name| (name, cifar_record(3))).to_vec();
    let decode = in_folder(others, "data_batch_1.bin");
    let samples = vec![[cifar_record(0), cifar_record(9)].concat()];
    Target { cost: 4, ..Target::new("CIFAR", samples, decode) }
}

fn bundles() -> Target {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("train-images-idx3-ubyte"), idx_images()).expect("there is room");
    fs::write(folder.path().join("train-labels-idx1-ubyte"), idx_labels()).expect("there is room");
    let sample = read_folder(folder.path()).expect("a small data set").to_bytes();
    Target::new("data bundle", vec![sample], |bytes| {
        let Ok(bundle) = Bundle::from_bytes(bytes) else { return false };
        assert_eq!(bundle.as_bytes(), bytes);
        true
    })
}

/// Takes the first checkpoint that is offered.
#[derive(Default)]
struct Taker {
    taken: Option<Vec<u8>>,
}

impl Observer for Taker {
    fn step_row(&mut self, _: StepRow) {}
    fn confusion_row(&mut self, _: ConfusionRow) {}
    fn at_checkpoint_step(&mut self, step: u64) -> Wish {
        if step > 0 { Wish::CheckpointAndStop } else { Wish::Continue }
    }
    fn checkpoint(&mut self, checkpoint: trial::Checkpoint) {
        self.taken = Some(checkpoint.bytes);
    }
}

fn checkpoints() -> Target {
    let spec = {
        let draft = sweep_file::parse(
            "name = \"c\"\n[axes]\nseed = [0]\n[model]\nkind = \"mlp\"\nwidth = 3\ndepth = 1\n[data]\nkind = \"sphere\"\n\
             samples = 4\ndim = 3\n[train]\nsteps = 3\nstep_size = 0.1\n",
            "c.toml",
        );
        let sweep = draft.expect("is valid").resolve(&BTreeMap::new()).expect("needs no files");
        sweep.job(0)
    };
    let mut taker = Taker::default();
    trial::run(&spec, Given::default(), &mut taker).expect("it runs");
    let sample = taker.taken.expect("a checkpoint was offered");
    let target = Target::new("checkpoint", vec![sample], move |bytes| {
        let given = Given { resume: Some(bytes), ..Given::default() };
        trial::run(&spec, given, &mut Taker::default()).is_ok()
    });
    Target { cost: 4, ..target }
}

/// What a worker stores for the coordinator to keep: only its header is believed, and only where it fits.
fn weights() -> Target {
    let shapes = [vec![3, 4], vec![1, 3]];
    let bytes: Vec<Vec<u8>> = shapes.iter().map(|shape| vec![7; 8 * shape[0] * shape[1]]).collect();
    let views = ["weights.0", "weights.1"].into_iter().zip(shapes.iter().zip(&bytes)).map(
        |(name, (shape, bytes))| {
            (name, TensorView::new(Dtype::F64, shape.clone(), bytes).expect("it fits"))
        },
    );
    let sample = safetensors::serialize(views, None).expect("names differ");
    Target::new("weights", vec![sample], |bytes| {
        Head::read(&mut &*bytes, bytes.len() as u64).is_ok()
    })
}
