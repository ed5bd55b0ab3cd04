//! The real binary as its users run it: processes, sockets, files, kills.

mod bad_input;
mod content;
mod end_to_end;
mod export;
mod faults;
mod harness;
mod readers;
mod same_bits;
mod tidy;
