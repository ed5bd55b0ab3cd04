//! The SQL that gives a figure's numbers, for `gradsweep sql`, DuckDB, or any engine with the tables under their names.

use crate::study::{Group, Moment, Study};
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
    format!(
        "FROM confusion c JOIN jobs j ON j.job_id = c.job_id\n\
         WHERE {step} AND c.scope = '{scope}'{batch} AND c.layer IS NULL\n  \
         AND j.status = 'completed' AND j.stage <> 'tune'{}",
        settings(study, group)
    )
}

/// The curves of a group's trials: the columns of `steps` under c.
pub(super) fn curves(study: &Study, group: &Group) -> String {
    // The number of gradients is a column of `confusion`; the curve is the same whatever was measured.
    let group = Group {
        settings: group.settings.iter().filter(|(name, _)| *name != COUNT).cloned().collect(),
        ..group.clone()
    };
    format!(
        "FROM steps c JOIN jobs j ON j.job_id = c.job_id\n\
         WHERE j.status = 'completed' AND j.stage <> 'tune'{}",
        settings(study, &group)
    )
}

const COUNT: &str = "measure_count";

/// The conditions that tell a group from the others of its study.
fn settings(study: &Study, group: &Group) -> String {
    let varies = |name: &str, value: &Setting| {
        study.groups.iter().any(|other| other.setting(name) != Some(value))
    };
    let told = group.settings.iter().filter(|(name, value)| varies(name, value));
    let conditions = told.map(|(name, value)| {
        let column = if *name == COUNT { "c.count".to_owned() } else { format!("j.{name}") };
        match value {
            Setting::Null => format!("\n  AND {column} IS NULL"),
            Setting::Text(text) => format!("\n  AND {column} = '{}'", text.replace('\'', "''")),
            number => format!("\n  AND {column} = {number}"),
        }
    });
    conditions.collect()
}
