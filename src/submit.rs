//! Handing a sweep to a coordinator, with the data sets that it lacks, and saying what became of it.

use domain::Digest;
use proto::client::Client;
use proto::message::Submitted;

use crate::failure::Failure;
use crate::load::{Loaded, Terms};
use crate::output::note;
use crate::text;

/// Hands `loaded` in. Data sets that the coordinator lacks are sent first.
pub async fn submit(client: &Client, loaded: &Loaded, terms: Terms) -> Result<Submitted, Failure> {
    let first = client.submit(loaded.submission(terms)).await?;
    if first.missing_blobs.is_empty() {
        return Ok(first);
    }
    for &digest in &first.missing_blobs {
        send(client, loaded, digest).await?;
    }
    Ok(client.submit(loaded.submission(terms)).await?)
}

async fn send(client: &Client, loaded: &Loaded, digest: Digest) -> Result<(), Failure> {
    // The coordinator asks for what the sweep names; anything else it asks for, it will not get.
    let Some(bytes) = loaded.blob(digest)? else { return Ok(()) };
    note(&format!("sending a data set of {} to the coordinator", text::bytes(bytes.len() as u64)));
    client.put_blob(digest, bytes).await?;
    Ok(())
}

/// What became of a submission, for a person: `tanh: kept 9,800, new 200`, and what else is worth knowing.
pub fn lines(submitted: &Submitted, engine: &str) -> Vec<String> {
    let Submitted { sweep, kept, new, orphaned, settled, again, other_engines, .. } = submitted;
    let mut first = format!("{sweep}: kept {}, new {}", text::count(*kept), text::count(*new));
    if *kept > 0 {
        first.push_str(&format!(" ({} of those kept are done)", text::count(*settled)));
    }
    let mut lines = vec![first];
    if *again > 0 {
        lines.push(format!(
            "{} that had been abandoned or cancelled will run again",
            text::counted(*again, "job")
        ));
    }
    if *orphaned > 0 {
        let jobs = text::counted(*orphaned, "job");
        lines.push(format!(
            "{jobs} of earlier revisions are not asked for any more; their results stay"
        ));
    }
    if !other_engines.is_empty() {
        lines.push(format!(
            "some kept results were made by engine revision {}, this is {engine}; --strict refuses to mix them",
            other_engines.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use domain::SweepId;

    use super::*;

    fn submitted(kept: u64, new: u64) -> Submitted {
        Submitted {
            sweep: "tanh".parse().expect("a name"),
            sweep_id: SweepId([0; 16]),
            kept,
            new,
            orphaned: 0,
            settled: kept,
            again: 0,
            missing_blobs: Vec::new(),
            other_engines: Vec::new(),
            results: "r".into(),
        }
    }

    #[test]
    fn kept_and_new_are_said_in_one_line() {
        assert_eq!(lines(&submitted(0, 200), "1"), ["tanh: kept 0, new 200"]);
        let expected = "tanh: kept 9,800, new 200 (9,800 of those kept are done)";
        assert_eq!(lines(&submitted(9_800, 200), "1"), [expected]);
    }

    #[test]
    fn what_else_changed_is_said_too() {
        let mut all = submitted(10, 0);
        (all.settled, all.again, all.orphaned, all.other_engines) = (7, 3, 1, vec!["0".into()]);
        let lines = lines(&all, "1");
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[1].starts_with("3 jobs") && lines[2].starts_with("1 job of"), "{lines:?}");
        assert!(lines[3].contains("engine revision 0, this is 1"), "{lines:?}");
    }
}
