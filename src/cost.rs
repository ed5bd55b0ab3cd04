//! What a sweep costs before it runs: time, memory and the size of its results, from its specs alone.

use std::collections::HashSet;
use std::time::Duration;

use domain::spec::{Confusion, KeepWeights, Precision};
use domain::{JobSpec, Sweep};
use worker::trial;

use crate::host;

/// Operations a second that one core is taken to do: in f64, which is the default, and with neighbours. 10 to 20 billion were
/// measured on a shared core, twice that in f32.
pub const FLOP_PER_SECOND: f64 = 1e10;

/// The same for convolutional networks, which reuse what they read: 50 to 75 billion were measured on a shared core.
pub const CONV_FLOP_PER_SECOND: f64 = 4e10;

/// What a step costs whatever the size of the network.
const SECONDS_PER_STEP: f64 = 2e-7;

/// What a pair of gradients costs beside its inner product: its cosine is counted, and some are put in order.
const SECONDS_PER_PAIR: f64 = 1e-8;

/// What a job costs whatever it does: its lease, its data, its commit.
const SECONDS_PER_JOB: f64 = 0.01;

/// A trial process before it has a job: code, stacks, buffers.
pub const PROCESS_BYTES: u64 = 32 << 20;

/// What a row takes in a sealed segment. The histogram of cosines is most of a confusion row.
const BYTES_PER_JOB: u64 = 1_400;
const BYTES_PER_STEPS_ROW: u64 = 85;
const BYTES_PER_CONFUSION_ROW: u64 = 310;

/// What one job costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JobCost {
    pub parameters: u64,
    /// Of one core.
    pub time: Duration,
    pub memory_bytes: u64,
    pub steps_rows: u64,
    pub confusion_rows: u64,
}

impl JobCost {
    /// The cost of the job that `spec` describes, on so many threads.
    pub fn of(spec: &JobSpec, threads: u32) -> Self {
        let cost = trial::cost(spec, threads);
        let flop = cost.training_flop + cost.measuring_flop;
        let steps = spec.train.steps as f64 * SECONDS_PER_STEP;
        let measured = spec.measured_steps().len() as u64;
        let pairs = measured as f64 * pairs_of(spec) * SECONDS_PER_PAIR;
        let rate = match spec.model.conv() {
            Some(_) => CONV_FLOP_PER_SECOND,
            None => FLOP_PER_SECOND,
        };
        let seconds = flop / rate + steps + pairs + SECONDS_PER_JOB;
        Self {
            parameters: spec.model.parameters(spec.data.dim),
            time: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
            memory_bytes: cost.memory_bytes + PROCESS_BYTES,
            steps_rows: measured,
            confusion_rows: measured * spec.confusion_rows(),
        }
    }
}

/// Pairs of gradients that one measurement compares.
fn pairs_of(spec: &JobSpec) -> f64 {
    let pairs = |confusion: &Confusion| confusion.pairs(spec.data.samples, spec.train.batch) as f64;
    spec.measure.confusion.iter().map(pairs).sum()
}

/// What all jobs of a sweep cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SweepCost {
    pub points: u64,
    /// Distinct jobs.
    pub jobs: u64,
    /// Points without their seeds.
    pub cells: u64,
    /// Of one core.
    pub time: Duration,
    pub time_max: Duration,
    /// Of the largest job.
    pub memory_bytes_max: u64,
    pub parameters_max: u64,
    pub steps_rows: u64,
    pub confusion_rows: u64,
    /// Of the weights that are kept.
    pub weights_bytes: u64,
}

impl SweepCost {
    /// The cost of `sweep`; `each` is told every distinct job, in order.
    pub fn of<E>(
        sweep: &Sweep,
        mut each: impl FnMut(u64, &JobSpec, &JobCost) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut all = Self { points: sweep.len(), ..Self::default() };
        let mut cells = HashSet::new();
        for (index, _) in sweep.jobs() {
            let spec = sweep.job(index);
            let job = JobCost::of(&spec, sweep.run().threads);
            each(index, &spec, &job)?;
            cells.insert(sweep.cell(index).to_string());
            all.jobs += 1;
            all.time = all.time.saturating_add(job.time);
            all.time_max = all.time_max.max(job.time);
            all.memory_bytes_max = all.memory_bytes_max.max(job.memory_bytes);
            all.parameters_max = all.parameters_max.max(job.parameters);
            all.steps_rows += job.steps_rows;
            all.confusion_rows += job.confusion_rows;
            let number = if spec.model.precision == Precision::F32 { 4 } else { 8 };
            let kept = match sweep.run().keep_weights {
                KeepWeights::None => 0,
                KeepWeights::Final => 1,
                KeepWeights::Measured => job.steps_rows,
            };
            all.weights_bytes += kept * number * job.parameters;
        }
        all.cells = cells.len() as u64;
        Ok(all)
    }

    /// How long it takes with so many jobs side by side, each on so many cores that share its work evenly: no less than its
    /// longest job.
    pub fn time_on(&self, jobs: u32, threads: u32) -> Duration {
        (self.time / jobs.max(1)).max(self.time_max) / threads.max(1)
    }

    /// What its results take on disk.
    pub fn result_bytes(&self) -> u64 {
        self.jobs * BYTES_PER_JOB
            + self.steps_rows * BYTES_PER_STEPS_ROW
            + self.confusion_rows * BYTES_PER_CONFUSION_ROW
            + self.weights_bytes
    }
}

/// What a machine has for jobs.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub cores: u32,
    /// `None` where it does not say.
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        Self { cores: host::cores(), memory_bytes: host::memory_bytes() }
    }

    /// How many jobs of so many threads, and of up to `job_bytes` of memory, run side by side, one at least: no more threads
    /// than cores, and no more bytes than there are.
    pub fn side_by_side(self, threads: u32, job_bytes: u64) -> u32 {
        let fitting = self.memory_bytes.map_or(u64::MAX, |memory| memory / job_bytes.max(1));
        let cores = self.cores / threads.max(1);
        cores.min(u32::try_from(fitting).unwrap_or(u32::MAX)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_cores_makes_a_job_shorter() {
        let seconds = Duration::from_secs;
        let cost = SweepCost { time: seconds(100), time_max: seconds(30), ..SweepCost::default() };
        assert_eq!([1, 2, 8].map(|jobs| cost.time_on(jobs, 1)), [100, 50, 30].map(seconds));
    }

    #[test]
    fn threads_make_a_job_shorter() {
        let seconds = Duration::from_secs;
        let cost = SweepCost { time: seconds(100), time_max: seconds(30), ..SweepCost::default() };
        assert_eq!([1, 2, 8].map(|jobs| cost.time_on(jobs, 2)), [50, 25, 15].map(seconds));
    }

    #[test]
    fn threads_bound_how_many_jobs_run_side_by_side() {
        let machine = Machine { cores: 8, memory_bytes: Some(16 << 30) };
        let jobs = |threads| machine.side_by_side(threads, 3 << 30);
        assert_eq!([1, 2, 3, 5, 8, 256].map(jobs), [5, 4, 2, 1, 1, 1]);
    }

    #[test]
    fn memory_bounds_how_many_jobs_run_side_by_side() {
        let jobs = |memory_bytes, need| Machine { cores: 8, memory_bytes }.side_by_side(1, need);
        assert_eq!(jobs(Some(16 << 30), 3 << 30), 5);
        assert_eq!(jobs(Some(16 << 30), 1 << 20), 8);
        assert_eq!(jobs(Some(1 << 30), 3 << 30), 1);
        assert_eq!(jobs(None, 3 << 30), 8);
    }
}
