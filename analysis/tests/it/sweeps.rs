//! The sweep files of `sweeps/` that are made for a claim: their jobs have the dims, seeds and step size that it asks for.

use std::collections::BTreeSet;

use domain::Sweep;
use domain::spec::{DataKind, JobSpec, Loss, Sampling};

fn jobs(name: &str) -> Vec<JobSpec> {
    let text = std::fs::read_to_string(format!("../sweeps/{name}.toml")).unwrap();
    let draft = domain::sweep_file::parse(&text, name).unwrap();
    let sweep: Sweep = draft.resolve(&Default::default()).unwrap();
    assert_eq!(sweep.name().as_str(), name);
    sweep.jobs().map(|(index, _)| sweep.job(index)).collect()
}

/// Plain SGD, one example a step, drawn with replacement, at a step size below 2/(N L): what the theorems are about.
#[track_caller]
fn check_theorems(jobs: &[JobSpec], smoothness: f64) {
    for job in jobs {
        let train = &job.train;
        assert!(
            train.batch == 1 && train.sampling == Sampling::Uniform && train.schedule.is_empty()
        );
        assert_eq!((train.momentum, train.weight_decay), (0.0, 0.0));
        assert!(train.step_size < 2.0 / (f64::from(job.data.samples) * smoothness), "{train:?}");
    }
    for dim in dims(jobs) {
        let seeds = jobs.iter().filter(|job| job.data.dim == dim).map(|job| job.seeds.data);
        assert!(seeds.collect::<BTreeSet<_>>().len() >= 30, "the mean of 30 seeds at d = {dim}");
    }
}

fn dims(jobs: &[JobSpec]) -> BTreeSet<u32> {
    jobs.iter().map(|job| job.data.dim).collect()
}

#[test]
fn the_sweep_of_regressions_has_dims_on_both_sides_of_n_and_what_the_theorems_need() {
    let jobs = jobs("regression");
    assert!(jobs.iter().all(|job| job.model.kind() == "linear" && job.train.loss == Loss::Squared));
    // |x| = 1.
    assert!(jobs.iter().all(|job| job.data.kind == DataKind::Sphere));
    check_theorems(&jobs, 1.0);
    let above = |job: &&JobSpec| job.data.dim > job.data.samples;
    let (above, below): (Vec<_>, Vec<_>) = jobs.iter().partition(above);
    assert!(!above.is_empty() && !below.is_empty(), "d > N and d ≤ N");
    assert!(dims(&jobs).len() >= 3, "three dims for a slope");
}

#[test]
fn the_sweep_of_logistic_regressions_has_orthogonal_inputs_and_what_the_theorem_needs() {
    let jobs = jobs("logistic");
    assert!(jobs.iter().all(|job| job.model.kind() == "logistic"));
    assert!(jobs.iter().all(|job| job.data.kind == DataKind::Orthogonal));
    check_theorems(&jobs, 0.25);
}
