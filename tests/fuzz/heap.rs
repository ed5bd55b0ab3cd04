//! The heap, with a count of what this thread holds.

#![expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one counts and passes on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn grow(bytes: usize) {
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
    // A thread that is ending has no counters any more.
    let now = NOW.try_with(|now| {
        now.set(now.get().wrapping_add(bytes));
        now.get()
    });
    if let Ok(now) = now {
        let _ = MOST.try_with(|most| most.set(most.get().max(now)));
    }
}

fn shrink(bytes: usize) {
    // What another thread allocated may be freed here.
    let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(bytes)));
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// What a piece of work took of the heap of its thread.
pub struct Taken {
    /// The most bytes that were held during it, beyond what was held before.
    pub bytes_max: usize,
    /// How often memory was asked for.
    pub count: usize,
}

/// What `work` answers, and what it took.
pub fn taken_in<T>(work: impl FnOnce() -> T) -> (T, Taken) {
    let (before, count) = (NOW.get(), TAKEN.get());
    MOST.set(before);
    let answer = work();
    (answer, Taken { bytes_max: MOST.get() - before, count: TAKEN.get() - count })
}
