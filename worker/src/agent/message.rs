//! What agent and trial process say to each other, and how each message is a frame.

use domain::{FailureClass, Table};
use serde::{Deserialize, Serialize};

use super::frame::{Frame, FrameError};

/// What the agent tells a trial process.
#[derive(Clone, Debug, PartialEq)]
pub enum ToTrial {
    Start(Start),
    /// Hand over a checkpoint at the next step where one may be taken.
    Checkpoint {
        tag: u64,
    },
    /// Stop at the next such step, with a checkpoint if it is to be kept.
    Stop {
        tag: u64,
        keep: bool,
    },
    /// Leave in good order; there are no more jobs.
    Exit,
}

/// A job to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Tells this job from the one before on this process, from 1 and rising: orders name it.
    pub tag: u64,
    /// Canonical JSON.
    pub spec: String,
    /// The file of the data set, for jobs that have one.
    pub bundle: Option<String>,
    pub resume: Option<Resume>,
    /// How many threads to use.
    pub threads: u32,
    /// A word of [`domain::spec::KeepWeights`].
    pub keep_weights: String,
}

/// Where to go on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The checkpoint's file.
    pub path: String,
    /// The rows that were told before it: numbers of the next ones.
    pub steps_rows: u64,
    pub confusion_rows: u64,
}

/// What a trial process tells the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum FromTrial {
    Rows {
        table: Table,
        first_row: u64,
        row_count: u32,
        cells: Vec<u8>,
    },
    Checkpoint {
        step: u64,
        steps_rows: u64,
        confusion_rows: u64,
        bytes: Vec<u8>,
    },
    /// Weights to keep; the rows of the step were told before.
    Weights {
        step: u64,
        bytes: Vec<u8>,
    },
    Progress {
        step: u64,
        risk: Option<f64>,
        min_cos: Option<f64>,
        rms_cos: Option<f64>,
    },
    /// The job ended with a result; every row was told before.
    Done {
        steps_rows: u64,
        confusion_rows: u64,
        /// At how many steps weights were kept.
        weights: u64,
        /// The `jobs` row.
        cells: Vec<u8>,
    },
    /// The job stopped as it was told to; its checkpoint, if one was to be kept, was told before.
    Stopped {
        step: u64,
    },
    Failed {
        class: FailureClass,
        message: String,
    },
}

mod kind {
    pub const START: u8 = 1;
    pub const ORDER_CHECKPOINT: u8 = 2;
    pub const STOP: u8 = 3;
    pub const EXIT: u8 = 4;
    pub const ROWS: u8 = 16;
    pub const CHECKPOINT: u8 = 17;
    pub const PROGRESS: u8 = 18;
    pub const DONE: u8 = 19;
    pub const STOPPED: u8 = 20;
    pub const FAILED: u8 = 21;
    pub const WEIGHTS: u8 = 22;
}

#[derive(Serialize, Deserialize)]
struct OrderHeader {
    tag: u64,
    keep: bool,
}

#[derive(Serialize, Deserialize)]
struct RowsHeader {
    table: String,
    first_row: u64,
    row_count: u32,
}

#[derive(Serialize, Deserialize)]
struct CountsHeader {
    step: u64,
    steps_rows: u64,
    confusion_rows: u64,
}

#[derive(Serialize, Deserialize)]
struct DoneHeader {
    steps_rows: u64,
    confusion_rows: u64,
    weights: u64,
}

#[derive(Serialize, Deserialize)]
struct ProgressHeader {
    step: u64,
    risk: Option<f64>,
    min_cos: Option<f64>,
    rms_cos: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct FailedHeader {
    class: String,
    message: String,
}

impl From<&ToTrial> for Frame {
    fn from(message: &ToTrial) -> Self {
        let order = |kind, tag, keep| Self::new(kind, &OrderHeader { tag, keep }, Vec::new());
        match message {
            ToTrial::Start(start) => Self::new(kind::START, start, Vec::new()),
            ToTrial::Checkpoint { tag } => order(kind::ORDER_CHECKPOINT, *tag, true),
            ToTrial::Stop { tag, keep } => order(kind::STOP, *tag, *keep),
            ToTrial::Exit => order(kind::EXIT, 0, false),
        }
    }
}

impl TryFrom<Frame> for ToTrial {
    type Error = FrameError;

    fn try_from(frame: Frame) -> Result<Self, FrameError> {
        match frame.kind {
            kind::START => Ok(Self::Start(frame.header()?)),
            kind::ORDER_CHECKPOINT => {
                let OrderHeader { tag, .. } = frame.header()?;
                Ok(Self::Checkpoint { tag })
            }
            kind::STOP => {
                let OrderHeader { tag, keep } = frame.header()?;
                Ok(Self::Stop { tag, keep })
            }
            kind::EXIT => Ok(Self::Exit),
            found => Err(FrameError::Kind { found }),
        }
    }
}

impl From<FromTrial> for Frame {
    fn from(message: FromTrial) -> Self {
        let counts =
            |step, steps_rows, confusion_rows| CountsHeader { step, steps_rows, confusion_rows };
        match message {
            FromTrial::Rows { table, first_row, row_count, cells } => {
                let table = table.as_str().to_owned();
                Self::new(kind::ROWS, &RowsHeader { table, first_row, row_count }, cells)
            }
            FromTrial::Checkpoint { step, steps_rows, confusion_rows, bytes } => {
                Self::new(kind::CHECKPOINT, &counts(step, steps_rows, confusion_rows), bytes)
            }
            FromTrial::Progress { step, risk, min_cos, rms_cos } => {
                let header = ProgressHeader { step, risk, min_cos, rms_cos };
                Self::new(kind::PROGRESS, &header, Vec::new())
            }
            FromTrial::Weights { step, bytes } => {
                Self::new(kind::WEIGHTS, &counts(step, 0, 0), bytes)
            }
            FromTrial::Done { steps_rows, confusion_rows, weights, cells } => {
                let header = DoneHeader { steps_rows, confusion_rows, weights };
                Self::new(kind::DONE, &header, cells)
            }
            FromTrial::Stopped { step } => {
                Self::new(kind::STOPPED, &counts(step, 0, 0), Vec::new())
            }
            FromTrial::Failed { class, message } => {
                let class = class.as_str().to_owned();
                Self::new(kind::FAILED, &FailedHeader { class, message }, Vec::new())
            }
        }
    }
}

impl TryFrom<Frame> for FromTrial {
    type Error = FrameError;

    fn try_from(frame: Frame) -> Result<Self, FrameError> {
        match frame.kind {
            kind::ROWS => {
                let RowsHeader { table, first_row, row_count } = frame.header()?;
                let table = Table::from_name(&table).ok_or(FrameError::Word { found: table })?;
                Ok(Self::Rows { table, first_row, row_count, cells: frame.body })
            }
            kind::CHECKPOINT => {
                let CountsHeader { step, steps_rows, confusion_rows } = frame.header()?;
                Ok(Self::Checkpoint { step, steps_rows, confusion_rows, bytes: frame.body })
            }
            kind::PROGRESS => {
                let ProgressHeader { step, risk, min_cos, rms_cos } = frame.header()?;
                Ok(Self::Progress { step, risk, min_cos, rms_cos })
            }
            kind::WEIGHTS => {
                let CountsHeader { step, .. } = frame.header()?;
                Ok(Self::Weights { step, bytes: frame.body })
            }
            kind::DONE => {
                let DoneHeader { steps_rows, confusion_rows, weights } = frame.header()?;
                Ok(Self::Done { steps_rows, confusion_rows, weights, cells: frame.body })
            }
            kind::STOPPED => {
                let CountsHeader { step, .. } = frame.header()?;
                Ok(Self::Stopped { step })
            }
            kind::FAILED => {
                let FailedHeader { class, message } = frame.header()?;
                let class = class.parse().map_err(|_| FrameError::Word { found: class })?;
                Ok(Self::Failed { class, message })
            }
            found => Err(FrameError::Kind { found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_says_reads_back() {
        let resume = Resume { path: "/c/p".into(), steps_rows: 3, confusion_rows: 4 };
        let start = Start {
            tag: 9,
            spec: "{\"a\":\"b\"}".into(),
            bundle: Some("/c/b".into()),
            resume: Some(resume),
            threads: 4,
            keep_weights: "final".into(),
        };
        let bare = Start { bundle: None, resume: None, ..start.clone() };
        for message in [
            ToTrial::Start(start),
            ToTrial::Start(bare),
            ToTrial::Checkpoint { tag: 1 },
            ToTrial::Stop { tag: 2, keep: true },
            ToTrial::Stop { tag: 2, keep: false },
            ToTrial::Exit,
        ] {
            assert_eq!(ToTrial::try_from(Frame::from(&message)).expect("reads"), message);
        }
    }

    #[test]
    fn what_a_trial_says_reads_back() {
        let cells = vec![1, 2, 3];
        for message in [
            FromTrial::Rows {
                table: Table::Steps,
                first_row: 5,
                row_count: 2,
                cells: cells.clone(),
            },
            FromTrial::Checkpoint {
                step: 8,
                steps_rows: 1,
                confusion_rows: 2,
                bytes: cells.clone(),
            },
            FromTrial::Progress { step: 8, risk: Some(0.5), min_cos: None, rms_cos: Some(-1.0) },
            FromTrial::Weights { step: 8, bytes: cells.clone() },
            FromTrial::Done { steps_rows: 3, confusion_rows: 4, weights: 2, cells },
            FromTrial::Stopped { step: 6 },
            FromTrial::Failed { class: FailureClass::Bug, message: "a \"quote\"".into() },
        ] {
            assert_eq!(FromTrial::try_from(Frame::from(message.clone())).expect("reads"), message);
        }
    }

    #[test]
    fn a_number_that_is_not_finite_arrives_as_none() {
        let message =
            FromTrial::Progress { step: 1, risk: Some(f64::NAN), min_cos: None, rms_cos: None };
        let read = FromTrial::try_from(Frame::from(message)).expect("reads");
        assert!(matches!(read, FromTrial::Progress { risk: None, .. }));
    }

    #[test]
    fn unknown_kinds_words_and_headers_are_refused() {
        let nothing = || Frame::new(99, &(), Vec::new());
        assert!(matches!(ToTrial::try_from(nothing()), Err(FrameError::Kind { found: 99 })));
        assert!(matches!(FromTrial::try_from(nothing()), Err(FrameError::Kind { found: 99 })));
        let header = Frame::new(kind::ROWS, &(), Vec::new());
        assert!(matches!(FromTrial::try_from(header), Err(FrameError::Header { .. })));
        let header = RowsHeader { table: "step".into(), first_row: 0, row_count: 1 };
        let word = Frame::new(kind::ROWS, &header, Vec::new());
        assert!(matches!(FromTrial::try_from(word), Err(FrameError::Word { .. })));
    }
}
