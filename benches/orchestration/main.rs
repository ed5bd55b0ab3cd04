//! What the coordinator does in a second: jobs, rows, and how it carries a million of them.
//!
//! ```text
//! cargo bench --bench orchestration                    everything, with 100,000 jobs
//! cargo bench --bench orchestration -- --jobs 1000000  the same with a million
//! cargo bench --bench orchestration -- --finished 1000000   a million that are run, not 20,000
//! ```
//!
//! The coordinator is the real binary in a process of its own, with its durable journal; the worker is the real clerk
//! over the real client, whose trials end at once. Both share this machine, so jobs a second are of the two together;
//! the coordinator's own CPU time is told beside them.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use coordinator::journal::LogJournal;
use coordinator::machine::Machine;
use domain::{JournalId, SweepName};
use proto::client::Client;
use proto::connection::Connection;
use proto::message::JobsQuery;

use idle_worker::{IdleWorker, submission};

mod idle_worker;

/// Slots of the one worker.
const SLOTS: u32 = 4;
/// Jobs that wait, and jobs that are run where jobs a second are measured, where no option says how many.
const PENDING: u64 = 100_000;
const FINISHED: u64 = 20_000;

fn main() -> Result<()> {
    let (jobs, finished) = (option("--jobs", PENDING)?, option("--finished", FINISHED)?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(jobs, finished))
}

fn option(name: &'static str, usual: u64) -> Result<u64> {
    let mut arguments = env::args().skip_while(|word| word != name).skip(1);
    arguments.next().map_or(Ok(usual), |count| count.parse()).context(name)
}

async fn measure(jobs: u64, finished: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut place = Place::start(folder.path()).await?;

    let before = place.usage()?;
    let begun = Instant::now();
    place.submit("pending", jobs, 0).await?;
    let took = begun.elapsed();
    let after = place.usage()?;
    let bytes = (after.memory_bytes - before.memory_bytes) as f64 / jobs as f64;
    row("submit", &format!("{jobs} jobs"), &format!("{:.2} s", took.as_secs_f64()));
    row("memory a pending job", &format!("{jobs} jobs"), &format!("{bytes:.0} B"));
    row("memory, most so far", "", &format!("{:.0} MiB", after.peak_bytes as f64 / 1_048_576.0));

    let begun = Instant::now();
    let query = JobsQuery { sweep: name("pending"), state: None, offset: jobs / 2, limit: 100 };
    place.client.jobs(query).await?;
    row("a page of 100 jobs", "", &format!("{:.1} ms", begun.elapsed().as_secs_f64() * 1e3));

    place.submit("runs", finished, 1).await?;
    let (journal, before, begun) = (place.journal_bytes()?, place.usage()?, Instant::now());
    let mut worker = IdleWorker::join(&place.client, 7, SLOTS).await?;
    worker.run(Some(&name("runs")), finished, 0, |_| ()).await?;
    let mut waits = std::mem::take(&mut worker.waits);
    let took = begun.elapsed().as_secs_f64();
    let cpu = (place.usage()?.cpu - before.cpu).as_secs_f64();
    let journal = place.journal_bytes()?.saturating_sub(journal) as f64 / finished as f64;
    row("no-op jobs", &format!("{SLOTS} slots"), &format!("{:.0} jobs/s", finished as f64 / took));
    row("coordinator CPU a job", "", &format!("{:.0} us", cpu * 1e6 / finished as f64));
    row("journal a finished job until sealed", "", &format!("{journal:.0} B"));
    waits.sort_unstable();
    let part = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    row("end of a job to the next start", "p50", &format!("{:.2} ms", part(0.5)));
    row("", "p99", &format!("{:.2} ms", part(0.99)));

    place.submit("rows", 40, 1).await?;
    place.forget_peak()?;
    let (before, begun) = (place.usage()?, Instant::now());
    let per_job = 10_000;
    worker.run(Some(&name("rows")), 40, per_job, |_| ()).await?;
    place.client.flush(&name("rows")).await?;
    let took = begun.elapsed().as_secs_f64();
    let cpu = (place.usage()?.cpu - before.cpu).as_secs_f64();
    let count = (40 * u64::from(per_job)) as f64;
    row("rows into Parquet", "40 jobs", &format!("{:.0} rows/s", count / took));
    row("", "coordinator CPU", &format!("{:.1} us a row", cpu * 1e6 / count));
    let more = (place.usage()?.peak_bytes - before.memory_bytes) as f64 / 1_048_576.0;
    row("", "memory more than before, at most", &format!("{more:.0} MiB"));

    place.kill()?;
    let begun = Instant::now();
    place.restart().await?;
    let took = begun.elapsed().as_secs_f64();
    let what = format!("{finished} finished, {jobs} pending");
    row("kill -9 to the first answer", &what, &format!("{took:.2} s"));
    row("", "coordinator CPU", &format!("{:.2} s", place.usage()?.cpu.as_secs_f64()));
    row("", "journal", &format!("{:.1} MiB", place.journal_bytes()? as f64 / 1_048_576.0));
    let files = place.files()?;
    row("result files", &format!("{finished} jobs"), &format!("{files}"));
    place.kill()?;
    let bytes = begun_anew(finished).await? as f64 / finished as f64;
    row(
        "journal a finished job, begun anew",
        &format!("{finished} jobs"),
        &format!("{bytes:.0} B"),
    );
    Ok(())
}

/// Bytes of a journal that knows nothing but the end of so many jobs, all sealed, after it has begun anew.
async fn begun_anew(finished: u64) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let mut place = Place::start(folder.path()).await?;
    place.submit("runs", finished, 0).await?;
    let mut worker = IdleWorker::join(&place.client, 7, SLOTS).await?;
    worker.run(Some(&name("runs")), finished, 0, |_| ()).await?;
    place.client.flush(&name("runs")).await?;
    place.kill()?;
    let (journal, replay) =
        LogJournal::open(&folder.path().join("journal"), JournalId([0; 16])).context("opens")?;
    let machine = Machine::replay(replay.snapshot, &replay.events)
        .map_err(|(event, problem)| anyhow!("event {event}: {problem}"))?;
    journal.begin_anew_now(&machine.snapshot())?;
    drop(journal);
    place.journal_bytes()
}

fn row(what: &str, of: &str, figure: &str) {
    println!("{what:36} {of:32} {figure:>16}");
}

fn name(text: &str) -> SweepName {
    text.parse().expect("a good name")
}

/// What a process used so far.
struct Usage {
    cpu: Duration,
    memory_bytes: u64,
    peak_bytes: u64,
}

/// A coordinator in its folder.
struct Place {
    folder: PathBuf,
    coordinator: Child,
    client: Client,
}

impl Place {
    async fn start(folder: &Path) -> Result<Self> {
        let coordinator = spawn(folder)?;
        let client = reach(folder).await?;
        Ok(Self { folder: folder.to_owned(), coordinator, client })
    }

    fn kill(&mut self) -> Result<()> {
        self.coordinator.kill()?;
        self.coordinator.wait()?;
        Ok(())
    }

    async fn restart(&mut self) -> Result<()> {
        fs::remove_file(self.folder.join("connection.json")).context("the connection file")?;
        self.coordinator = spawn(&self.folder)?;
        self.client = reach(&self.folder).await?;
        Ok(())
    }

    async fn submit(&self, sweep: &str, jobs: u64, priority: i32) -> Result<()> {
        self.client.submit(submission(sweep, jobs, priority)?).await?;
        Ok(())
    }

    fn usage(&self) -> Result<Usage> {
        let process = PathBuf::from(format!("/proc/{}", self.coordinator.id()));
        let stat = fs::read_to_string(process.join("stat"))?;
        let after_name = stat.rsplit(')').next().context("stat")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let status = fs::read_to_string(process.join("status"))?;
        let kib = |key: &str| -> Result<u64> {
            let line = status.lines().find(|line| line.starts_with(key)).context("status")?;
            Ok(line.split_whitespace().nth(1).context("status")?.parse::<u64>()? * 1024)
        };
        Ok(Usage {
            cpu: Duration::from_millis(ticks * 10),
            memory_bytes: kib("VmRSS")?,
            peak_bytes: kib("VmHWM")?,
        })
    }

    /// Has the peak of its memory begin at what it has now.
    fn forget_peak(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.coordinator.id()), "5")?)
    }

    /// How far the journal's log reaches, as its mark says.
    fn journal_bytes(&self) -> Result<u64> {
        let mark = fs::read(self.folder.join("journal/log.mark"))?;
        let end = mark.get(8..16).context("the mark is short")?;
        Ok(u64::from_le_bytes(end.try_into()?))
    }

    fn files(&self) -> Result<usize> {
        let folder = self.folder.join("results/jobs/sweep=runs");
        Ok(fs::read_dir(folder)?.count())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

fn spawn(folder: &Path) -> Result<Child> {
    Ok(Command::new(env!("CARGO_BIN_EXE_gradsweep"))
        .args(["coordinator", "--listen", "127.0.0.1:0", "--journal"])
        .arg(folder.join("journal"))
        .arg("--results")
        .arg(folder.join("results"))
        .arg("--connection")
        .arg(folder.join("connection.json"))
        .env("GRADSWEEP_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?)
}

async fn reach(folder: &Path) -> Result<Client> {
    for _ in 0..3_000 {
        if let Ok(connection) = Connection::read(&folder.join("connection.json"))
            && let Ok(client) = Client::connect(&connection).await
            && client.workers().await.is_ok()
        {
            return Ok(client);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("the coordinator does not answer")
}
