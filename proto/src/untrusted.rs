//! Every conversion from the wire, for the fuzz tests: bytes in, and whether they made sense.

use prost::Message;

use crate::convert::{FromWire, IntoWire};
use crate::message::{
    FromWorker, JobsPage, JobsQuery, LiveRows, Submission, Submitted, SweepProgress, ToWorker,
    WorkerLine,
};

/// The bytes of a message of a worker.
pub fn of_worker(message: FromWorker) -> Vec<u8> {
    message.into_wire().encode_to_vec()
}

/// The bytes of a message to a worker.
pub fn to_worker(message: ToWorker) -> Vec<u8> {
    message.into_wire().encode_to_vec()
}

/// The bytes of a submission.
pub fn submission(message: Submission) -> Vec<u8> {
    message.into_wire().encode_to_vec()
}

/// The bytes of live rows.
pub fn live_rows(message: LiveRows) -> Vec<u8> {
    message.into_wire().encode_to_vec()
}

/// Reads `bytes` as every message that a peer may send. How many made sense.
///
/// # Panics
/// If a message that made sense does not come back as it is when it is sent on: our bug.
pub fn read_as_everything(bytes: &[u8]) -> usize {
    let read = [
        again::<FromWorker>(bytes),
        again::<ToWorker>(bytes),
        again::<Submission>(bytes),
        again::<LiveRows>(bytes),
        once::<Submitted>(bytes),
        once::<SweepProgress>(bytes),
        once::<JobsQuery>(bytes),
        once::<JobsPage>(bytes),
        once::<WorkerLine>(bytes),
    ];
    read.into_iter().filter(|made_sense| *made_sense).count()
}

fn read<T: FromWire<Wire: Message + Default>>(bytes: &[u8]) -> Option<T> {
    T::from_wire(T::Wire::decode(bytes).ok()?).ok()
}

fn once<T: FromWire<Wire: Message + Default>>(bytes: &[u8]) -> bool {
    read::<T>(bytes).is_some()
}

/// Likewise, and checks that what was understood survives being sent on. Compared as bytes: a NaN equals itself there.
fn again<T>(bytes: &[u8]) -> bool
where
    T: FromWire<Wire: Message + Default> + IntoWire<Wire = <T as FromWire>::Wire>,
{
    let Some(message) = read::<T>(bytes) else { return false };
    let sent = message.into_wire().encode_to_vec();
    let heard = read::<T>(&sent).expect("what was understood is sent so that it can be understood");
    assert_eq!(heard.into_wire().encode_to_vec(), sent);
    true
}
