//! Whether an object store does what results need of it, found out at the start rather than when something is lost.

use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::PrepareError;

/// Creators of one object at once, and how many objects: a store that looks first and writes then is found by so many.
const CREATORS: usize = 16;
const ROUNDS: usize = 3;

/// What the probe asks of a store.
pub trait Creations: Sync {
    /// Puts an object where there is none; whether there was none.
    fn create(&self, name: &str, bytes: Vec<u8>) -> io::Result<bool>;
    /// All of an object.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Takes an object away.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Creates objects of its own under `.gradsweep/`, from several threads at once, and takes them away again.
///
/// # Errors
/// Where the store fails, gives back other bytes, or takes an object from more than one creator.
pub fn probe(url: &str, store: &dyn Creations) -> Result<(), PrepareError> {
    let unusable = |source| PrepareError::Unusable { url: url.to_owned(), source };
    for round in 0..ROUNDS {
        // A name of its own for each process and round: two coordinators may start at once.
        let name = format!(".gradsweep/probe-{}-{round}", fresh());
        let result = contest(url, store, &name);
        // A store that cannot take it away is said to be unusable only where nothing worse was found.
        let removed = store.remove(&name).map_err(unusable);
        result.and(removed)?;
    }
    Ok(())
}

fn contest(url: &str, store: &dyn Creations, name: &str) -> Result<(), PrepareError> {
    let unusable = |source| PrepareError::Unusable { url: url.to_owned(), source };
    let (together, accepted) = (Barrier::new(CREATORS), AtomicUsize::new(0));
    let bytes = |creator: usize| format!("creator {creator} ").repeat(1_000).into_bytes();
    let create = |creator: usize| {
        together.wait();
        let created = store.create(name, bytes(creator));
        if matches!(created, Ok(true)) {
            accepted.fetch_add(1, Ordering::Relaxed);
        }
        created.err()
    };
    let errors: Vec<_> = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..CREATORS).map(|c| scope.spawn(move || create(c))).collect();
        creators.into_iter().filter_map(|creator| creator.join().ok().flatten()).collect()
    });
    // One more, when it is there for sure.
    let late = store.create(name, bytes(CREATORS)).map_err(unusable)?;
    let accepted = accepted.into_inner() + usize::from(late);
    match accepted {
        1 => {}
        // A loser may be told of a conflict in words of the store's own; with no winner at all those are the reason.
        0 => {
            let none = || io::Error::other("no creator was told that it won");
            return Err(unusable(errors.into_iter().next().unwrap_or_else(none)));
        }
        _ => {
            let (url, asked) = (url.to_owned(), CREATORS + 1);
            return Err(PrepareError::ManyCreators { url, accepted, asked });
        }
    }
    let found = store.read(name).map_err(unusable)?;
    if (0..CREATORS).any(|creator| found == bytes(creator)) {
        return Ok(());
    }
    let (url, written, found) = (url.to_owned(), bytes(0).len(), found.len());
    Err(PrepareError::OtherBytes { url, written, found })
}

/// A word that no other process has.
fn fresh() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;

    /// A store in memory with the faults of real ones.
    #[derive(Default)]
    struct Memory {
        objects: Mutex<HashMap<String, Vec<u8>>>,
        /// Conditions are passed over.
        is_forgetful: bool,
        /// It looks, and writes a moment later.
        is_hasty: bool,
        /// Everything is cut to half.
        cuts: bool,
        is_away: bool,
    }

    impl Creations for Memory {
        fn create(&self, name: &str, mut bytes: Vec<u8>) -> io::Result<bool> {
            if self.is_away {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            if self.cuts {
                bytes.truncate(bytes.len() / 2);
            }
            let mut objects = self.objects.lock().expect("no panic");
            let is_there = objects.contains_key(name);
            if self.is_hasty && !is_there {
                drop(objects);
                std::thread::yield_now();
                std::thread::sleep(std::time::Duration::from_millis(20));
                objects = self.objects.lock().expect("no panic");
            }
            if !is_there || self.is_forgetful {
                objects.insert(name.to_owned(), bytes);
            }
            Ok(!is_there || self.is_forgetful)
        }

        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            let objects = self.objects.lock().expect("no panic");
            objects.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.objects.lock().expect("no panic").remove(name);
            Ok(())
        }
    }

    #[test]
    fn a_good_store_passes_and_nothing_is_left_in_it() {
        let store = Memory::default();
        probe("s3://b", &store).expect("it is good");
        assert!(store.objects.lock().expect("no panic").is_empty());
    }

    #[test]
    fn stores_that_would_lose_results_are_refused() {
        let forgetful = Memory { is_forgetful: true, ..Memory::default() };
        let error = probe("s3://b", &forgetful).expect_err("it forgets");
        assert!(
            matches!(error, PrepareError::ManyCreators { accepted: 17, asked: 17, .. }),
            "{error}"
        );
        let hasty = Memory { is_hasty: true, ..Memory::default() };
        let error = probe("s3://b", &hasty).expect_err("it is hasty");
        assert!(matches!(error, PrepareError::ManyCreators { accepted: 2.., .. }), "{error}");
        let cutting = Memory { cuts: true, ..Memory::default() };
        let error = probe("s3://b", &cutting).expect_err("it cuts");
        assert!(matches!(error, PrepareError::OtherBytes { .. }), "{error}");
        let away = Memory { is_away: true, ..Memory::default() };
        let error = probe("s3://b", &away).expect_err("it is away");
        assert!(matches!(error, PrepareError::Unusable { .. }), "{error}");
    }
}
