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

/// The measured means of a group to which the convergence theorems apply, and the bound of the first.
pub(super) fn envelopes(study: &Study, group: &Group) -> String {
    let (sweep, conditions) = (&study.sweep, family(study, group, &[MEASURE_COUNT]));
    format!(
        "-- the bound of the first theorem; the second is 2N/(2 - N L alpha) * ((F(w0) - F*)/(alpha step) + eta)\n\
         WITH found AS (\n  SELECT job_id, max(eta) AS eta FROM confusion\n  \
         WHERE sweep = '{sweep}' AND scope = 'samples' AND measure_batch = 1 AND layer IS NULL GROUP BY job_id\n), start AS (\n  \
         SELECT job_id, excess_risk AS excess FROM steps\n  \
         WHERE sweep = '{sweep}' AND step = 0\n), known AS (\n  \
         SELECT j.job_id, j.data_dim, s.excess, j.train_step_size AS alpha, e.eta,\n    \
         1 - 2 * j.strong_convexity / j.data_samples * (j.train_step_size\n      \
         - j.data_samples * j.smoothness * j.train_step_size * j.train_step_size / 2) AS rho\n  \
         FROM jobs j JOIN found e ON e.job_id = j.job_id JOIN start s ON s.job_id = j.job_id\n  \
         WHERE j.sweep = '{sweep}' AND j.status = 'completed' AND j.stage <> 'tune' AND j.train_batch = 1\n  \
         AND j.train_step_size < 2 / (j.data_samples * j.smoothness){conditions}\n)\n\
         SELECT k.data_dim, c.step, avg(c.excess_risk) AS excess_risk,\n  \
         avg(power(k.rho, c.step) * k.excess + k.alpha * k.eta / (1 - k.rho)) AS excess_bound,\n  \
         avg(c.gradient_norm * c.gradient_norm) AS gradient_squared, count(c.excess_risk) AS trials\n\
         FROM steps c JOIN known k ON k.job_id = c.job_id\nWHERE c.sweep = '{sweep}'\nGROUP BY 1, 2 ORDER BY 1, 2;"
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
