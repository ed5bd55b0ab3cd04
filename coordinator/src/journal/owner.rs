//! Who has the journal, where a lock on a file may end at its host.
//!
//! `flock` keeps a second coordinator of the same host out on every file system, and one of another host on those that carry
//! locks from host to host. Others grant one lock to a process on each host (BeeGFS and Lustre as they often are set up, most of
//! what FUSE mounts). There a file in the journal's folder says who has it:
//!
//! ```text
//! owner      token, beat, boot, device: hexadecimal; host; spaces up to 192 bytes
//! ```
//!
//! Its owner looks there each second, stops where another's token stands, and writes the next beat. It looks before each batch
//! that it stores, and again before it acknowledges it. A newcomer watches the file for eight beats and gives way if it changes.
//! Then it writes its own token and beats for eight beats; only if that still stands it reads the journal: what the owner before
//! acknowledged until it saw the token is there by then. Of several newcomers the one that wrote last remains. This is Fischer's mutual
//! exclusion: it needs no operation that two hosts agree on, only that what one wrote is read by the other within some seconds.
//!
//! Where the last owner had the folder at the same mount of the same boot, the lock has told that it is gone: nobody waits.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::JournalError;

const NAME: &str = "owner";
/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// For how many beats a newcomer waits: more than it takes until what one host wrote is read on another. Clients of
/// network file systems keep names and lengths for some three seconds, and read what they open anew.
const PATIENCE: u32 = 8;
/// Bytes of the file: written in place, so that it never is of another length.
const LENGTH: usize = 192;
const TOKEN: usize = 32;

/// Whether a lock in `folder` keeps processes of all hosts out that can see it: on file systems of one host, and on those that carry
/// locks. Of a kind that is not known it is not believed.
#[cfg(target_os = "linux")]
pub(super) fn locks_reach_all_hosts(folder: &Path) -> io::Result<bool> {
    // From linux/magic.h and, for ZFS and bcachefs, their own headers.
    const KINDS: [u64; 13] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683e, // Btrfs
        0x2fc1_2fc1, // ZFS
        0xf2f5_2010, // F2FS
        0xca45_1a4e, // bcachefs
        0x3153_464a, // JFS
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x794c_7630, // overlayfs
        0x6969,      // NFS: carried as locks of byte ranges
        0x00c3_6400, // Ceph
        0x4750_4653, // GPFS
    ];
    let kind = rustix::fs::statfs(folder)?.f_type;
    // Some architectures have a signed word of 32 bits here.
    Ok(KINDS.contains(&(kind as u64 & 0xffff_ffff)))
}

/// Elsewhere than on Linux nothing tells kinds apart, and clusters are seldom.
#[cfg(not(target_os = "linux"))]
pub(super) fn locks_reach_all_hosts(_: &Path) -> io::Result<bool> {
    Ok(true)
}

/// The journal is this process's for as long as nobody else's token stands in the file.
#[derive(Debug)]
pub(super) struct Owner {
    claim: Arc<Claim>,
}

#[derive(Debug)]
struct Claim {
    path: PathBuf,
    /// What it writes before and after the beat.
    token: String,
    place: String,
    host: String,
    state: Mutex<State>,
    is_over: AtomicBool,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    beat: u64,
    /// Who has the journal instead.
    taken_by: Option<String>,
}

impl Owner {
    /// Makes `folder` this process's; blocks for as long as that takes. `has_lock`: it holds a lock there that other processes
    /// of this mount would have had to let go of.
    ///
    /// # Errors
    /// [`JournalError::InUse`] where somebody else has it, [`JournalError::Open`] where the file cannot be used.
    pub(super) fn take(folder: &Path, has_lock: bool) -> Result<Self, JournalError> {
        let place = place_of(folder).map_err(|source| open_failed(folder, source))?;
        Self::take_as(folder, &place, has_lock, BEAT)
    }

    fn take_as(
        folder: &Path,
        place: &str,
        has_lock: bool,
        beat: Duration,
    ) -> Result<Self, JournalError> {
        let claim = Claim {
            path: folder.join(NAME),
            token: uuid::Uuid::new_v4().simple().to_string(),
            place: place.to_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            state: Mutex::default(),
            is_over: AtomicBool::new(false),
            wake: Condvar::new(),
        };
        let open = |source| open_failed(&claim.path, source);
        let in_use = || JournalError::InUse { path: folder.to_owned() };
        let before = claim.read().map_err(open)?;
        let is_first = before.is_empty();
        let was_here = has_lock && before.split(' ').nth(2) == Some(place);
        if !was_here {
            let wait = beat * PATIENCE * if is_first { 1 } else { 2 };
            tracing::info!(
                "locks on {} may end at this host: looking for {wait:?} whether another coordinator has it",
                folder.display()
            );
        }
        let watched = if was_here || is_first { 0 } else { PATIENCE };
        for _ in 0..watched {
            std::thread::sleep(beat);
            if claim.read().map_err(open)? != before {
                return Err(in_use());
            }
        }
        let mut state = lock(&claim.state);
        claim.write(&mut state).map_err(open)?;
        for _ in 0..if was_here { 0 } else { PATIENCE } {
            std::thread::sleep(beat);
            claim.beat(&mut state).map_err(open)?;
            if state.taken_by.is_some() {
                return Err(in_use());
            }
        }
        drop(state);
        let claim = Arc::new(claim);
        let beating = Arc::clone(&claim);
        let thread = std::thread::Builder::new().name("journal-owner".to_owned());
        let started = thread.spawn(move || beating.go_on(beat));
        started.map_err(|source| open_failed(&claim.path, source))?;
        Ok(Self { claim })
    }

    /// Looks whether the journal is this process's still. Blocks.
    ///
    /// # Errors
    /// [`JournalError::Taken`], or [`JournalError::Store`] where the file cannot be read.
    pub(super) fn look(&self) -> Result<(), JournalError> {
        let claim = &self.claim;
        let mut state = lock(&claim.state);
        let looked = claim.look(&mut state);
        claim.standing(&state)?;
        looked.map_err(|source| JournalError::Store { path: claim.path.clone(), source })
    }

    /// What was seen last. Does not block: while somebody looks, it is as before.
    ///
    /// # Errors
    /// [`JournalError::Taken`].
    pub(super) fn standing(&self) -> Result<(), JournalError> {
        match self.claim.state.try_lock() {
            Ok(state) => self.claim.standing(&state),
            Err(_) => Ok(()),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // A thread that hangs in a file system is not waited for.
        self.claim.is_over.store(true, Ordering::Release);
        self.claim.wake.notify_all();
    }
}

impl Claim {
    /// What stands in the file; nothing where there is none.
    fn read(&self) -> io::Result<String> {
        let mut bytes = Vec::with_capacity(LENGTH);
        match fs::File::open(&self.path) {
            Ok(file) => file.take(LENGTH as u64).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Opened and closed each time: that is when clients of network file systems hand on what they have.
    fn write(&self, state: &mut State) -> io::Result<()> {
        state.beat += 1;
        let Self { token, place, host, .. } = self;
        let mut text = format!("{token} {:016x} {place} {host}", state.beat).into_bytes();
        text.resize(LENGTH - 1, b' ');
        text.push(b'\n');
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(&self.path)?;
        file.write_all(&text)?;
        file.sync_data()
    }

    /// Looks who has the journal.
    fn look(&self, state: &mut State) -> io::Result<()> {
        let text = self.read()?;
        let words: Vec<_> = text.split(' ').collect();
        if words[0].len() != TOKEN {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no token stands in it"));
        }
        if words[0] != self.token {
            state.taken_by = Some(words.get(3).map_or("another host", |host| host).to_owned());
        }
        Ok(())
    }

    /// Looks, and writes the next beat if it is ours.
    fn beat(&self, state: &mut State) -> io::Result<()> {
        self.look(state)?;
        if state.taken_by.is_none() { self.write(state) } else { Ok(()) }
    }

    fn standing(&self, state: &State) -> Result<(), JournalError> {
        match &state.taken_by {
            None => Ok(()),
            Some(host) => Err(JournalError::Taken {
                path: self.path.parent().unwrap_or(&self.path).to_owned(),
                host: host.clone(),
            }),
        }
    }

    /// Beats until it is over or taken.
    fn go_on(&self, beat: Duration) {
        let mut state = lock(&self.state);
        while state.taken_by.is_none() {
            let waited = self.wake.wait_timeout(state, beat);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = self.beat(&mut state) {
                tracing::debug!(%error, "no beat in {}", self.path.display());
            }
        }
    }
}

/// What tells apart from where the folder is seen: a lock keeps out all processes that have this in common.
fn place_of(folder: &Path) -> io::Result<String> {
    // Where there is no such file, every start is another boot.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());
    Ok(format!("{}:{:x}", boot.trim(), fs::metadata(folder)?.dev()))
}

fn open_failed(path: &Path, source: io::Error) -> JournalError {
    JournalError::Open { path: path.to_owned(), source }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short, and long beside what a busy machine takes to write a file.
    const SHORT: Duration = Duration::from_millis(50);

    fn take(folder: &Path, place: &str) -> Result<Owner, JournalError> {
        Owner::take_as(folder, place, true, SHORT)
    }

    fn is_in_use(taken: &Result<Owner, JournalError>) -> bool {
        matches!(taken, Err(JournalError::InUse { .. }))
    }

    #[test]
    fn whoever_beats_keeps_others_out_and_whoever_does_not_is_succeeded() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = take(folder.path(), "one").expect("takes");
        assert!(is_in_use(&take(folder.path(), "two")));
        first.look().expect("it still has it");
        drop(first);
        let second = take(folder.path(), "two").expect("takes what nobody has any more");
        second.look().expect("has it");
    }

    #[test]
    fn an_owner_that_wakes_after_it_was_succeeded_sees_it_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = take(folder.path(), "one").expect("takes");
        // Frozen: it neither looks nor beats.
        let frozen = lock(&first.claim.state);
        let second = take(folder.path(), "two").expect("takes");
        drop(frozen);
        let taken = first.look();
        assert!(
            matches!(&taken, Err(JournalError::Taken { host, .. }) if !host.is_empty()),
            "{taken:?}"
        );
        assert!(first.standing().is_err(), "and without looking");
        second.look().expect("has it");
        std::thread::sleep(4 * SHORT);
        second.look().expect("and keeps it: the first beats no more");
    }

    #[test]
    fn of_many_newcomers_one_remains() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let taken = std::thread::scope(|scope| {
            let newcomers = (0..8).map(|number| {
                let path = folder.path();
                scope.spawn(move || take(path, &number.to_string()))
            });
            let newcomers: Vec<_> = newcomers.collect();
            newcomers.into_iter().map(|thread| thread.join().expect("ends")).collect::<Vec<_>>()
        });
        assert_eq!(taken.iter().filter(|taken| is_in_use(taken)).count(), 7, "{taken:?}");
        let one = taken.into_iter().flatten().next().expect("one has it");
        one.look().expect("and keeps it");
    }

    #[test]
    fn a_host_that_had_it_last_and_holds_the_lock_waits_for_nobody() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        drop(take(folder.path(), "one").expect("takes"));
        let hour = Duration::from_secs(3_600);
        drop(Owner::take_as(folder.path(), "one", true, hour).expect("takes at once"));
        // Without a lock it has to look.
        assert!(Owner::take_as(folder.path(), "one", false, SHORT).is_ok());
    }

    #[test]
    fn a_file_that_is_cut_is_nobodys_word() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let owner = take(folder.path(), "one").expect("takes");
        let whole = fs::read(&owner.claim.path).expect("reads");
        assert_eq!(whole.len(), LENGTH);
        let held = lock(&owner.claim.state);
        fs::write(&owner.claim.path, &whole[..TOKEN - 1]).expect("writes");
        drop(held);
        // Either it is told, or a beat has mended it.
        assert!(!matches!(owner.look(), Err(JournalError::Taken { .. })));
    }

    #[test]
    fn locks_of_this_machine_are_believed() {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a temporary folder");
        assert!(locks_reach_all_hosts(folder.path()).expect("tells"));
    }
}
