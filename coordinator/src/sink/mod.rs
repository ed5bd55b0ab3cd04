//! The sink: committed rows become Parquet files that are complete, final and never rewritten, and kept weights safetensors.

mod columns;
mod earlier;
mod live;
mod revision;
mod schema;
mod segment;
mod weights;

pub use earlier::{Earlier, earlier_results};
pub use live::{LiveError, LiveFiles};
pub use revision::write_revision;
pub use schema::file_schema;
pub use segment::{
    Contents, FILLED_IN, FailureLine, JobContents, SinkError, SpoolReader, write_segment,
};
pub use store::PutError;
pub use weights::{BadWeights, BlobOpener, Head};
