//! Where results are: a folder, or a prefix of an object store (`s3://`, `gs://`, `az://`, behind the feature `cloud`).
//!
//! Both keep one promise: a file that can be seen is whole, and one that is there already is not replaced. Calls block, and
//! may be made anywhere, on a thread of an async runtime too. Of what is in the files it knows no
//! more than how a Parquet file begins and ends.

#[cfg(feature = "cloud")]
mod cloud;
mod error;
mod folder;
mod location;
mod place;
#[cfg(feature = "cloud")]
mod probe;
#[cfg(feature = "cloud")]
mod remote;
mod source;
#[cfg(feature = "cloud")]
mod upload;

#[cfg(feature = "cloud")]
pub use cloud::Cloud;
pub use error::{OpenError, PrepareError, PutError};
pub use folder::sync_folder;
pub use location::{Location, LocationError, Url};
pub use place::{Listing, Settings, Sink, Store};
pub use source::Source;
