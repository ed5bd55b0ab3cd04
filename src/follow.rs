//! Watching a sweep from a terminal until it is over: `watch`, `submit --watch`, `status --wait`.

use std::path::PathBuf;
use std::time::Duration;

use domain::SweepName;
use proto::message::SweepProgress;

use crate::clock;
use crate::closing;
use crate::failure::Failure;
use crate::output::{Format, Output, json_line};
use crate::progress::Display;
use crate::reach::Watch;
use crate::rows::ProgressRow;
use crate::signals::Stops;

/// How often what is shown is drawn again.
pub const TICK: Duration = Duration::from_secs(1);

/// Shows the sweep's progress until it is over; Ctrl-C ends the watch, not the sweep.
///
/// # Errors
/// Also [`Failure::Unfinished`], where jobs were abandoned.
pub async fn follow(
    connection: PathBuf,
    sweep: SweepName,
    format: Format,
    out: &mut Output<'_>,
) -> Result<SweepProgress, Failure> {
    let mut stops = Stops::listen().map_err(Failure::Setup)?;
    let mut watch = Watch::start(connection, sweep);
    let mut display = Display::new(clock::now());
    let mut tick = tokio::time::interval(TICK);
    let ended = loop {
        tokio::select! {
            snapshot = watch.next() => match snapshot {
                Some(Ok(progress)) => match format {
                    Format::Json => {
                        json_line(out.writer, &ProgressRow::from(&progress)).map_err(Failure::Output)?;
                        out.writer.flush().map_err(Failure::Output)?;
                        display.keep(progress);
                    }
                    Format::Text => display.show(clock::now(), progress),
                },
                Some(Err(failure)) => break Err(failure),
                None => break Ok(()),
            },
            _ = tick.tick() => if format == Format::Text { display.tick(clock::now()) },
            _ = stops.next() => break Err(Failure::WatchEnded),
        }
    };
    display.finish();
    ended?;
    // A watch ends in good order only after a snapshot that says that the sweep is over.
    let progress = display.latest().cloned().ok_or(Failure::WatchEnded)?;
    if format == Format::Text {
        out.line(&closing::tally(&progress))?;
        out.line(&format!("results of {}: {}", progress.sweep, progress.results))?;
    }
    closing::verdict(&progress).map(|()| progress)
}
