//! The one binary of gradsweep.
fn main() {}
