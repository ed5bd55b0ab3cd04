//! Figures whose sweeps are of a kind of their own: step sizes as an axis, and regression under the convergence theorems.

use analysis::figures::{Figure, figures, shared};
use analysis::scaling::survey;
use analysis::study::{CurvePoint, Group, Measurement, Study, Trial};
use analysis::summary::Setting;

fn study(groups: Vec<Group>) -> Study {
    Study {
        sweep: "s".parse().unwrap(),
        scope: Some("samples"),
        groups,
        differences: Vec::new(),
        unusable: Vec::new(),
        incomplete: None,
    }
}

fn trial(step_size: f64, seed: i64, depth: i64) -> Trial {
    Trial {
        job: format!("{step_size}-{seed}-{depth}"),
        width: Some(8),
        depth: Some(depth),
        dim: Some(16),
        seeds: (seed, seed),
        // Deep networks diverge at the largest step for one seed of three.
        is_diverged: step_size > 0.2 && depth == 4 && seed == 0,
        final_risk: Some(0.1 * (1.0 + seed as f64) / step_size),
        ..Trial::default()
    }
}

fn by_step_size(count: i64) -> Vec<Group> {
    let group = |step_size: f64| Group {
        settings: vec![
            ("model_kind", Setting::Text("mlp".to_owned())),
            ("train_step_size", Setting::Float(step_size)),
            ("measure_count", Setting::Int(count)),
        ],
        trials: (0..3).flat_map(|seed| [1, 4].map(|depth| trial(step_size, seed, depth))).collect(),
        spec: None,
    };
    [0.1, 0.2, 0.4].map(group).to_vec()
}

#[test]
fn step_sizes_are_an_axis_and_where_a_seed_diverged_there_is_no_mean() {
    // Measured with two numbers of gradients: the losses are the same ones, and count once.
    let study = study([by_step_size(16), by_step_size(64)].concat());
    let found = shared(&study);
    assert_eq!(
        found.len(),
        1,
        "{:?}",
        found.iter().map(|figure| &figure.title).collect::<Vec<_>>()
    );
    let Figure { name, svg, csv, sql, .. } = &found[0];
    assert_eq!(name, "tuning-1");
    let line = |start: &str| csv.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    // Risks 1, 2, 3: mean 2, standard error √(1/3).
    let cells = line("0.1,8,1,16,");
    let numbers: Vec<f64> = cells.split(',').map(|cell| cell.parse().unwrap()).collect();
    assert!(
        (numbers[4] - 2.0).abs() < 1e-12 && (numbers[5] - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12
    );
    assert_eq!(numbers[6..], [3.0, 0.0], "{cells}");
    assert!(line("0.4,8,4,16,").ends_with(",2,1"), "{csv}");
    // Five means with a bar each, and one arrow, whose line begins downwards nowhere.
    assert_eq!(svg.matches("h6m-3 0V").count(), 5, "{svg}");
    assert_eq!(svg.matches("v-16.0m-4 5.0").count(), 1, "{svg}");
    assert!(sql.contains("GROUP BY") && !sql.contains("train_step_size ="), "{sql}");
}

#[test]
fn one_step_size_has_no_tuning_curve() {
    assert_eq!(shared(&study(by_step_size(16)[..1].to_vec())), []);
    assert_eq!(shared(&study(Vec::new())), []);
}

/// N = 10, L = 1, μ = 0.5, α = 0.1, η = 0.02: the floor is 0.4, `analysis::theorem` says how.
#[test]
fn regression_is_drawn_under_its_envelopes() {
    let point = |step: i64| CurvePoint {
        step,
        risk: Some(1.0 + 0.5_f64.powf(step as f64 / 10.0)),
        excess_risk: Some(0.5_f64.powf(step as f64 / 10.0)),
        gradient_norm: Some(0.1),
        ..CurvePoint::default()
    };
    let trials = (0..3).map(|seed| Trial {
        dim: Some(4),
        seeds: (seed, seed),
        strong_convexity: Some(0.5),
        smoothness: Some(1.0),
        curve: vec![point(0), point(10), point(20)],
        measurements: vec![Measurement { eta: Some(0.02), ..Measurement::default() }],
        ..Trial::default()
    });
    let group = Group {
        settings: vec![
            ("model_kind", Setting::Text("linear".to_owned())),
            ("data_samples", Setting::Int(10)),
            ("train_batch", Setting::Int(1)),
            ("train_step_size", Setting::Float(0.1)),
        ],
        trials: trials.collect(),
        spec: None,
    };
    let drawn = |group: Group| {
        let study = study(vec![group]);
        figures(&study, &study.groups[0], &survey(&study.groups[0], 20), 0)
    };
    let found = drawn(group.clone());
    let envelopes = found.iter().find(|figure| figure.name == "1-envelopes").unwrap();
    let last = envelopes.csv.lines().last().unwrap();
    let cells: Vec<f64> = last.split(',').map(|cell| cell.parse().unwrap()).collect();
    let bound = 0.995_f64.powi(20) + 0.4;
    // ρ = 20 of the second theorem, T = 20: 20·(1/(0.1·20) + 0.02).
    for (found, expected) in cells.iter().zip([4.0, 20.0, 0.25, bound, 0.01, 10.4, 3.0]) {
        assert!((found - expected).abs() < 1e-9, "{last}");
    }
    assert_eq!(envelopes.svg.matches("class=\"line dash").count(), 2);
    // Minibatches of two: neither theorem speaks of them.
    let mut other = group;
    other.settings[2].1 = Setting::Int(2);
    assert!(drawn(other).iter().all(|figure| figure.name != "1-envelopes"));
}
