//! `gradsweep plan`: the jobs of a sweep and what they cost. Contacts nothing and changes nothing.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::cost::{CONV_FLOP_PER_SECOND, FLOP_PER_SECOND, JobCost, Machine, SweepCost};
use crate::failure::Failure;
use crate::load::load;
use crate::output::{Format, Output, json_line};
use crate::paint::Paint;
use crate::table::{Side, Table};
use crate::text;

/// List the jobs a sweep would run, with estimates of time, memory and result size. Runs nothing.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The sweep file, TOML.
    #[arg(value_name = "SWEEP.toml")]
    sweep: PathBuf,
    /// How to print: `text` for people, `json` for programs (a line a job, then a line `summary`).
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// List at most this many jobs [default: 20 as text, all as JSON]; the totals are always of all.
    #[arg(long, value_name = "COUNT")]
    jobs_max: Option<u64>,
}

/// Jobs listed for a person who did not say how many.
const JOBS_SHOWN: u64 = 20;

/// One line of `--format json`: a stable interface, so apart from the domain's own types.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum PlanRow {
    Job {
        index: u64,
        job_id: String,
        point: String,
        parameters: u64,
        seconds: f64,
        memory_bytes: u64,
    },
    Summary {
        sweep: String,
        sweep_id: String,
        points: u64,
        jobs: u64,
        cells: u64,
        core_seconds: f64,
        cores: u32,
        seconds: f64,
        memory_bytes_max: u64,
        parameters_max: u64,
        steps_rows: u64,
        confusion_rows: u64,
        result_bytes: u64,
        weights_bytes: u64,
    },
}

/// Reads the sweep and writes its plan to `out`.
pub fn run(args: &PlanArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let sweep = load(&args.sweep)?.sweep;
    write_plan(&sweep, args, Machine::this(), out.writer, out.paint).map_err(Failure::Output)
}

fn write_plan(
    sweep: &domain::Sweep,
    args: &PlanArgs,
    machine: Machine,
    out: &mut dyn Write,
    paint: Paint,
) -> io::Result<()> {
    let limit = match (args.jobs_max, args.format) {
        (Some(limit), _) => limit,
        (None, Format::Text) => JOBS_SHOWN,
        (None, Format::Json) => u64::MAX,
    };
    let mut listed = 0;
    let mut table = Table::new(&[
        ("#", Side::Right),
        ("parameters", Side::Right),
        ("time", Side::Right),
        ("point", Side::Left),
    ]);
    let total = SweepCost::of(sweep, |index, spec, job: &JobCost| {
        if listed == limit {
            return Ok(());
        }
        listed += 1;
        let point = sweep.point(index).to_string();
        match args.format {
            Format::Text => table.row(vec![
                index.to_string(),
                text::count(job.parameters),
                text::duration(job.time),
                point,
            ]),
            Format::Json => {
                let row = PlanRow::Job {
                    index,
                    job_id: spec.id().to_string(),
                    point,
                    parameters: job.parameters,
                    seconds: job.time.as_secs_f64(),
                    memory_bytes: job.memory_bytes,
                };
                json_line(out, &row)?;
            }
        }
        io::Result::Ok(())
    })?;
    let need = sweep.run().memory.unwrap_or(total.memory_bytes_max);
    let threads = sweep.run().threads.min(machine.cores);
    let width = machine.side_by_side(threads, need);
    let (cores, time) = (width * threads, total.time_on(width, threads));
    match args.format {
        Format::Json => json_line(
            out,
            &PlanRow::Summary {
                sweep: sweep.name().to_string(),
                sweep_id: sweep.id().to_string(),
                points: total.points,
                jobs: total.jobs,
                cells: total.cells,
                core_seconds: total.time.as_secs_f64(),
                cores,
                seconds: time.as_secs_f64(),
                memory_bytes_max: need,
                parameters_max: total.parameters_max,
                steps_rows: total.steps_rows,
                confusion_rows: total.confusion_rows,
                result_bytes: total.result_bytes(),
                weights_bytes: total.weights_bytes,
            },
        ),
        Format::Text => {
            if listed > 0 {
                table.write(out, paint)?;
            }
            if listed < total.jobs {
                let more = text::count(total.jobs - listed);
                writeln!(
                    out,
                    "{}",
                    paint.dim(&format!("and {more} more; --jobs-max COUNT lists them"))
                )?;
            }
            writeln!(out)?;
            for line in summary(sweep, &total, need, (cores, time)) {
                writeln!(out, "{line}")?;
            }
            Ok(())
        }
    }
}

/// What it all comes to, for a person.
fn summary(
    sweep: &domain::Sweep,
    total: &SweepCost,
    need: u64,
    (cores, time): (u32, Duration),
) -> Vec<String> {
    let mut jobs = text::counted(total.jobs, "job");
    if total.points != total.jobs {
        jobs.push_str(&format!(
            " from {}: points that differ only in settings without effect are one job",
            text::counted(total.points, "point")
        ));
    }
    let cores = text::counted(u64::from(cores), "core");
    let (rate, conv) = (FLOP_PER_SECOND / 1e9, CONV_FLOP_PER_SECOND / 1e9);
    let whose = if sweep.run().memory.is_some() { "as the sweep file says" } else { "estimated" };
    vec![
        format!("sweep    {}, revision {}", sweep.name(), sweep.id()),
        format!("jobs     {jobs}, in {}", text::counted(total.cells, "cell")),
        format!(
            "time     about {} on {cores} of this machine ({} of one core, at {rate} billion operations a second, {conv} \
             in convolutions)",
            text::duration(time),
            text::duration(total.time),
        ),
        format!("memory   up to {} a job, {whose}", text::bytes(need)),
        format!(
            "results  about {}: {} of steps, {} of confusion{}",
            text::bytes(total.result_bytes()),
            text::counted(total.steps_rows, "row"),
            text::counted(total.confusion_rows, "row"),
            match total.weights_bytes {
                0 => String::new(),
                bytes => format!(", {} of kept weights", text::bytes(bytes)),
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SIX_JOBS: &str = "name = \"six\"\n[axes]\n\"model.width\" = [4, 8, 16]\nseed = [0, 1]\n\
        [model]\nkind = \"mlp\"\ndepth = 0\n[data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n\
        [train]\nloss = \"squared\"\nsteps = 10\nstep_size = 0.1\n";

    fn plan(format: Format, jobs_max: Option<u64>) -> String {
        let draft = domain::sweep_file::parse(SIX_JOBS, "six.toml").expect("the file is valid");
        let sweep = draft.resolve(&BTreeMap::new()).expect("no data files");
        let args = PlanArgs { sweep: "six.toml".into(), format, jobs_max };
        let machine = Machine { cores: 2, memory_bytes: Some(1 << 30) };
        let mut out = Vec::new();
        write_plan(&sweep, &args, machine, &mut out, Paint::Plain)
            .expect("a Vec takes every write");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_last_axis_varies_fastest_and_the_totals_count_unlisted_jobs() {
        let text = plan(Format::Text, Some(2));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].ends_with("width=4 seed=0") && lines[2].ends_with("width=4 seed=1"),
            "{text}"
        );
        assert!(lines[3].starts_with("and 4 more"), "{text}");
        assert!(text.contains("jobs     6 jobs, in 3 cells"), "{text}");
        assert!(text.contains("on 2 cores"), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line_and_ends_with_the_summary() {
        let text = plan(Format::Json, None);
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(rows.len(), 7);
        assert!(rows[..6].iter().all(|row| row["kind"] == "job"));
        // 4 inputs to 4 units to 1 output, without biases.
        assert_eq!((&rows[0]["parameters"], &rows[0]["index"]), (&20.into(), &0.into()));
        let last = &rows[6];
        assert_eq!(
            (&last["kind"], &last["jobs"], &last["cells"]),
            (&"summary".into(), &6.into(), &3.into())
        );
    }
}
