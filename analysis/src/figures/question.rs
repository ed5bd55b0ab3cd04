//! The SQL that gives a figure's numbers, for `gradsweep sql`, DuckDB, or any engine with the tables under their names.

use crate::study::{Group, MEASURE_COUNT, Moment, Study};
use crate::summary::Setting;

/// The trials of a group at one moment: what stands after FROM, the columns of `confusion` under c, of `jobs` under j.
pub(super) fn measured(study: &Study, group: &Group, moment: Moment) -> String {
    let step = match moment {
        Moment::Start => "c.step = 0",
        Moment::End => "c.step = j.steps_done AND c.step > 0",
    };
    let scope = study.scope.unwrap_or("samples");
    // Averages over minibatches are told under the scope of their examples.
    let batch = if scope == "samples" { " AND c.measure_batch = 1" } else { "" };
    let (sweep, settings) = (&study.sweep, settings(study, group));
    format!(
        "FROM confusion c JOIN jobs j ON j.job_id = c.job_id\n\
         WHERE j.sweep = '{sweep}' AND c.sweep = '{sweep}'\n  AND {step} AND c.scope = '{scope}'{batch} AND c.layer IS NULL\n  \
         AND j.status = 'completed' AND j.stage <> 'tune'{settings}"
    )
}

/// The curves of a group's trials: the columns of `steps` under c.
pub(super) fn curves(study: &Study, group: &Group) -> String {
    // The number of gradients is a column of `confusion`; the curve is the same whatever was measured.
    let conditions = family(study, group, &[MEASURE_COUNT]);
    let sweep = &study.sweep;
    format!(
        "FROM steps c JOIN jobs j ON j.job_id = c.job_id\n\
         WHERE j.sweep = '{sweep}' AND c.sweep = '{sweep}'\n  AND j.status = 'completed' AND j.stage <> 'tune'{conditions}"
    )
}

/// The measured means of a group to which the convergence theorems apply, and both bounds.
pub(super) fn envelopes(study: &Study, group: &Group) -> String {
    let (sweep, conditions) = (&study.sweep, family(study, group, &[MEASURE_COUNT]));
    let count = match group.setting(MEASURE_COUNT) {
        Some(count @ Setting::Int(_)) => format!(" AND count = {count}"),
        _ => String::new(),
    };
    format!(
        "-- excess_bound: the first theorem; gradient_bound: the second, over the weights before the step\n\
         WITH found AS (\n  SELECT job_id, max(eta) AS eta FROM confusion\n  \
         WHERE sweep = '{sweep}' AND scope = 'samples' AND measure_batch = 1 AND layer IS NULL{count} GROUP BY job_id\n), start AS (\n  \
         SELECT job_id, excess_risk AS excess, coalesce(excess_risk, risk) AS above FROM steps\n  \
         WHERE sweep = '{sweep}' AND step = 0\n), known AS (\n  \
         SELECT j.job_id, j.data_dim, s.excess, s.above, j.train_step_size AS alpha, e.eta,\n    \
         CASE WHEN j.strong_convexity > 0 THEN 1 - 2 * j.strong_convexity / j.data_samples * (j.train_step_size\n      \
         - j.data_samples * j.smoothness * j.train_step_size * j.train_step_size / 2) END AS rho,\n    \
         2 * j.data_samples / (2 - j.data_samples * j.smoothness * j.train_step_size) AS factor\n  \
         FROM jobs j JOIN found e ON e.job_id = j.job_id JOIN start s ON s.job_id = j.job_id\n  \
         WHERE j.sweep = '{sweep}' AND j.status = 'completed' AND j.stage <> 'tune' AND j.train_batch = 1\n  \
         AND j.train_step_size < 2 / (j.data_samples * j.smoothness){conditions}\n), means AS (\n  \
         SELECT k.data_dim, c.step,\n    \
         avg(CASE WHEN k.rho + k.excess IS NOT NULL THEN c.excess_risk END) AS excess_risk,\n    \
         avg(CASE WHEN c.excess_risk IS NOT NULL THEN power(k.rho, c.step) * k.excess + k.alpha * k.eta / (1 - k.rho) END) AS excess_bound,\n    \
         avg(c.gradient_norm * c.gradient_norm) AS gradient_squared,\n    \
         avg(CASE WHEN c.step > 0 THEN k.factor * (k.above / (k.alpha * c.step) + k.eta) END) AS gradient_bound,\n    \
         count(c.gradient_norm) AS trials\n  \
         FROM steps c JOIN known k ON k.job_id = c.job_id WHERE c.sweep = '{sweep}' GROUP BY 1, 2\n)\n\
         SELECT data_dim, step, excess_risk, excess_bound,\n  \
         min(gradient_squared) OVER (PARTITION BY data_dim ORDER BY step\n    \
         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS least_gradient_squared,\n  \
         gradient_bound, trials\nFROM means ORDER BY 1, 2;"
    )
}

/// The conditions that tell a group from the others of its study.
fn settings(study: &Study, group: &Group) -> String {
    family(study, group, &[])
}

/// The conditions that the groups share with `group` that differ from it in the settings of `free` alone.
pub(super) fn family(study: &Study, group: &Group, free: &[&str]) -> String {
    let varies = |name: &str, value: &Setting| {
        study.groups.iter().any(|other| other.setting(name) != Some(value))
    };
    let fixed = group.settings.iter().filter(|(name, _)| !free.contains(name));
    let conditions = fixed.filter(|(name, value)| varies(name, value)).map(|(name, value)| {
        let column =
            if *name == MEASURE_COUNT { "c.count".to_owned() } else { format!("j.{name}") };
        match value {
            Setting::Null => format!("\n  AND {column} IS NULL"),
            Setting::Text(text) => format!("\n  AND {column} = '{}'", text.replace('\'', "''")),
            number => format!("\n  AND {column} = {number}"),
        }
    });
    conditions.collect()
}
