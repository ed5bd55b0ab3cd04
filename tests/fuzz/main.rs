//! Every decoder of what comes from outside, fed with damaged samples of what it reads: it answers with a value or a typed
//! error, never a panic, and takes no more memory than its input is worth. What it accepts, it would write again.
//!
//! ```text
//! cargo test --test fuzz                                          some thousand inputs a decoder
//! GRADSWEEP_FUZZ_INPUTS=1000000 cargo test --release --test fuzz  the long mode
//! GRADSWEEP_BASE=7 cargo test --test fuzz                         other inputs
//! ```
//!
//! Input `n` of a decoder is a function of `n` and the base alone; a failure names both.

mod heap;
mod memory;
mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mutate::Mutator;
use targets::Target;

/// Inputs for each decoder in the short mode.
const INPUTS: u64 = 3_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Feeds a decoder; how many inputs it accepted.
fn feed(target: &Target, base: u64, inputs: u64) -> u64 {
    let mut accepted = 0;
    for sample in &target.samples {
        assert!((target.decode)(sample), "{}: a sample as it is, is refused", target.name);
    }
    for input in base..base + inputs {
        let bytes = Mutator::new(target.name, input).damaged(&target.samples);
        let (decoded, taken) =
            heap::taken_in(|| catch_unwind(AssertUnwindSafe(|| (target.decode)(&bytes))));
        let name = target.name;
        let again = format!("GRADSWEEP_BASE={input} GRADSWEEP_FUZZ_INPUTS=1");
        match decoded {
            Ok(is_accepted) => accepted += u64::from(is_accepted),
            Err(_) => panic!("{name}: input {input} makes it panic; again: {again}"),
        }
        let bound = target.bytes_max + 64 * bytes.len();
        assert!(
            taken.bytes_max <= bound,
            "{name}: {} bytes of input {input} take {} bytes, of {} allocations; again: {again}",
            bytes.len(),
            taken.bytes_max,
            taken.count
        );
    }
    accepted
}

#[test]
fn no_decoder_panics_or_takes_more_memory_than_its_input_is_worth() {
    let inputs = number("GRADSWEEP_FUZZ_INPUTS").unwrap_or(INPUTS);
    let base = number("GRADSWEEP_BASE").unwrap_or(0);
    for target in targets::all() {
        let share = (inputs / target.cost).max(1);
        let accepted = feed(&target, base, share);
        println!("{:12} {share} inputs from {base}, {accepted} accepted", target.name);
    }
}
