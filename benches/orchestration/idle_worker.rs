//! A worker that does nothing and says so at once: the real clerk over the real client.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use domain::{Cell, Column, ColumnType, Row, StepRow, SweepName, Table, WorkerId, sweep_file};
use proto::client::{Client, Incoming};
use proto::limits::{PROTOCOL, SESSION_QUEUE};
use proto::message::{Attempt, FromWorker, Grant, Hello, Outcome, RowBatch, Submission, ToWorker};
use proto::rows;
use tokio::sync::mpsc;
use worker::agent::clerk::{Clerk, Order};
use worker::agent::seats::Seated;

/// The engine revision that it says it has.
const ENGINE: &str = "idle";

/// A sweep of `jobs` jobs, ready to be handed in: of one width, or of a thousand seeds each of many.
pub fn submission(name: &str, jobs: u64, priority: i32) -> Result<Submission> {
    let (seeds, widths) =
        if jobs.is_multiple_of(1_000) { (1_000, jobs / 1_000) } else { (jobs, 1) };
    let widths: Vec<_> = (1..=widths).collect();
    let text = format!(
        "name = \"{name}\"\n[axes]\nseed = {{ start = 0, count = {seeds} }}\nmodel.width = {widths:?}\n[model]\nkind = \"mlp\"\ndepth = 1\n\
         [data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n[run]\npriority = {priority}\n"
    );
    let draft = sweep_file::parse(&text, "idle.toml")?;
    let sweep = draft.resolve(&BTreeMap::new())?.canonical();
    let (file_name, engine_revision) = ("idle.toml".to_owned(), ENGINE.to_owned());
    let (file_text, revise, strict) = (text, false, false);
    Ok(Submission { sweep, file_name, file_text, revise, strict, engine_revision })
}

/// A worker whose trials take no time.
pub struct IdleWorker {
    clerk: Clerk,
    outgoing: mpsc::Sender<FromWorker>,
    incoming: Incoming<ToWorker>,
    jobs_row: Vec<u8>,
    /// Since when each slot is free.
    free_since: Vec<Instant>,
    /// How long slots waited for each job.
    pub waits: Vec<Duration>,
}

impl IdleWorker {
    /// Introduces itself as worker `number`.
    pub async fn join(client: &Client, number: u8, slots: u32) -> Result<Self> {
        let (outgoing, receiver) = mpsc::channel(SESSION_QUEUE);
        outgoing.send(FromWorker::Hello(hello(number, slots))).await?;
        let mut incoming = client.session(receiver).await?;
        if !matches!(incoming.next().await?, Some(ToWorker::Welcome { .. })) {
            bail!("no welcome");
        }
        let mut clerk = Clerk::new(slots);
        clerk.opened();
        let jobs_row = rows::encode(Table::Jobs, &[jobs_row()]);
        let free_since = vec![Instant::now(); slots as usize];
        Ok(Self { clerk, outgoing, incoming, jobs_row, free_since, waits: Vec::new() })
    }

    /// Works on whatever it is given until `jobs` outcomes are acknowledged, of `sweep` where one is named; `acknowledged` is
    /// told each.
    pub async fn run(
        &mut self,
        sweep: Option<&SweepName>,
        jobs: u64,
        rows_each: u32,
        mut acknowledged: impl FnMut(&Attempt),
    ) -> Result<()> {
        let mut done = 0;
        let batch = (rows_each > 0).then(|| {
            let rows = (0..u64::from(rows_each / 10)).map(step_row);
            rows::encode(Table::Steps, &rows.collect::<Vec<_>>())
        });
        let mut beat = tokio::time::interval(Duration::from_secs(3));
        while done < jobs {
            while let Some(message) = self.clerk.next_message() {
                self.outgoing.send(message).await?;
            }
            let message = tokio::select! {
                message = self.incoming.next() => message?.context("the session ended")?,
                _ = beat.tick() => {
                    self.clerk.heartbeat();
                    continue;
                }
            };
            if let ToWorker::Outcome { attempt, refusal: None } = &message {
                acknowledged(attempt);
                done += u64::from(sweep.is_none_or(|sweep| attempt.sweep == *sweep));
            }
            let (_, mut orders) = self.clerk.hear(message);
            while let Some(order) = orders.pop() {
                let Order::Start(seated) = order else { continue };
                let Seated { slot, grant } = *seated;
                self.waits.push(self.free_since[slot].elapsed());
                orders.extend(self.end(slot, &grant, rows_each, batch.as_deref()));
                self.free_since[slot] = Instant::now();
            }
        }
        Ok(())
    }

    fn end(
        &mut self,
        slot: usize,
        grant: &Grant,
        rows_each: u32,
        batch: Option<&[u8]>,
    ) -> Vec<Order> {
        let attempt = grant.attempt.clone();
        if let Some(batch) = batch {
            for part in 0..10 {
                let (cells, row_count) = (batch.to_vec(), rows_each / 10);
                let (attempt, table) = (attempt.clone(), Table::Steps);
                let first_row = u64::from(part * row_count);
                self.clerk.rows(RowBatch { attempt, table, first_row, row_count, cells });
            }
        }
        let (steps_rows, confusion_rows) = (u64::from(rows_each), 0);
        let cells = self.jobs_row.clone();
        let result = Outcome::Result { steps_rows, confusion_rows, weights: 0, cells };
        self.clerk.finish(&attempt, result);
        self.clerk.vacate(slot, Duration::ZERO)
    }
}

/// Worker `number` introduces itself.
pub fn hello(number: u8, slots: u32) -> Hello {
    Hello {
        worker: WorkerId([number; 16]),
        protocol: PROTOCOL,
        version: "0".into(),
        engine_revision: ENGINE.into(),
        instruction_set: "none".into(),
        host: "idle".into(),
        process: 1,
        slots,
        cores: slots,
        memory_bytes: 1 << 40,
        held: Vec::new(),
        time_left: None,
    }
}

/// A `jobs` row as full as that of a real trial.
pub fn jobs_row() -> Row {
    let cell = |column: &Column| match (column.name, column.kind) {
        ("status", _) => "completed".into(),
        ("engine_revision", _) => ENGINE.into(),
        ("spec", _) => "{}".repeat(400).into(),
        ("sweep_id" | "attempt" | "worker" | "queued_at", _) => Cell::Null,
        (_, ColumnType::Utf8) => "a word or two".into(),
        (_, ColumnType::Float64) => (1.0 / 3.0).into(),
        (_, ColumnType::Timestamp) => Cell::Time(1_750_000_000_000_000),
        (_, ColumnType::Int32 | ColumnType::Int64) => 12_345u32.into(),
        (_, ColumnType::Boolean | ColumnType::Histogram) => Cell::Null,
    };
    Table::Jobs.own_columns().iter().map(cell).collect()
}

/// A point of a training curve, like no other.
pub fn step_row(step: u64) -> Row {
    let risk = 1.0 / (step as f64 + 3.0);
    let row = StepRow {
        step,
        epoch: step as f64 / 7.0,
        risk: Some(risk),
        excess_risk: Some(risk / 2.0),
        running_loss: Some(risk.sqrt()),
        gradient_norm: Some(risk.cbrt()),
        step_size: 0.1,
        elapsed_seconds: Some(step as f64 / 11.0),
        ..StepRow::default()
    };
    row.into_row()
}
