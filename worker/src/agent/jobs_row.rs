//! The `jobs` row of a finished trial, as far as the worker knows it.

use std::time::Duration;

use domain::{Cell, JobFigures, JobSpec, Row, Table, Timestamp};

use crate::trial;

/// What the shell of a trial knows of an attempt that ended with a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts<'a> {
    pub spec: &'a JobSpec,
    /// The spec as it came: canonical JSON.
    pub canonical: &'a str,
    pub figures: &'a JobFigures,
    pub host: &'a str,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_memory_bytes: Option<u64>,
}

impl Facts<'_> {
    /// The row. `sweep_id`, `attempt`, `worker` and `queued_at` are null: the coordinator knows them.
    pub fn row(&self) -> Row {
        Table::Jobs.own_columns().iter().map(|column| self.cell(column.name)).collect()
    }

    fn cell(&self, column: &str) -> Cell {
        let figures = self.figures;
        match column {
            "status" => figures.status().into(),
            "steps_done" => figures.steps_done.into(),
            "converged_step" => figures.converged_step.into(),
            "final_risk" => figures.final_risk.into(),
            "final_excess_risk" => figures.final_excess_risk.into(),
            "final_train_accuracy" => figures.final_train_accuracy.into(),
            "final_test_risk" => figures.final_test_risk.into(),
            "final_test_accuracy" => figures.final_test_accuracy.into(),
            "optimum_risk" => figures.optimum_risk.into(),
            "strong_convexity" => figures.strong_convexity.into(),
            "smoothness" => figures.smoothness.into(),
            "data_digest" => self.spec.data.digest.map(|digest| digest.to_string()).into(),
            "engine_revision" => trial::ENGINE_REVISION.into(),
            "instruction_set" => trial::instruction_set().into(),
            "version" => env!("CARGO_PKG_VERSION").into(),
            "spec" => self.canonical.into(),
            "host" => self.host.into(),
            "started_at" => Cell::Time(self.started_at.as_micros()),
            "finished_at" => Cell::Time(self.finished_at.as_micros()),
            "wall_seconds" => self.wall.as_secs_f64().into(),
            "cpu_seconds" => self.cpu.as_secs_f64().into(),
            "peak_rss_bytes" => self.peak_memory_bytes.into(),
            _ => Cell::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::process::tests::tiny_spec;

    #[test]
    fn only_what_the_coordinator_knows_is_null() {
        let number = Some(0.5);
        let figures = JobFigures {
            diverged: true,
            steps_done: 3,
            converged_step: Some(2),
            final_risk: number,
            final_excess_risk: number,
            final_train_accuracy: number,
            final_test_risk: number,
            final_test_accuracy: number,
            optimum_risk: number,
            strong_convexity: number,
            smoothness: number,
        };
        let spec = tiny_spec(3);
        let row = Facts {
            spec: &spec,
            canonical: "{}",
            figures: &figures,
            host: "h",
            started_at: Timestamp::ZERO,
            finished_at: Timestamp::ZERO,
            wall: Duration::from_secs(2),
            cpu: Duration::from_secs(1),
            peak_memory_bytes: Some(7),
        }
        .row();
        let columns = Table::Jobs.own_columns();
        assert_eq!(row.len(), columns.len());
        let nulls = columns.iter().zip(&row).filter(|(_, cell)| **cell == Cell::Null);
        let nulls: Vec<_> = nulls.map(|(column, _)| column.name).collect();
        assert_eq!(nulls, ["data_digest", "sweep_id", "attempt", "worker", "queued_at"]);
        assert_eq!(row[0], Cell::Text("diverged".into()));
    }
}
