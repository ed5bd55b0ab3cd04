//! The real shell, gRPC server, client, link and clerk on a network that turmoil pretends: slow, losing, cut in one direction
//! or both, holding messages back; on a disk that loses what was not synced; with hosts that die and come back.
//!
//! ```text
//! cargo test --test net                                       a few seeds
//! GRADSWEEP_NET_SEEDS=1000 cargo test --release --test net    more
//! GRADSWEEP_NET_SEED=12 cargo test --test net -- --nocapture  one, told strike by strike
//! ```
//!
//! What `tests/sim` does to the core alone, and much faster, is done here to everything between the core and the socket.
//! Pretended are the sockets, the timers, the journal's disk and the trials. Blobs and results are real files. A seed
//! decides what is done to whom; where threads of the real shell (syncs, segments, blobs) end in another order, the rest
//! of the run may differ, so that a seed is likely to show again what it showed, and need not.

mod coordinator_host;
mod person;
mod strikes;
mod trial;
mod worker_host;

#[path = "../it/content.rs"]
mod content;
#[expect(dead_code, reason = "shared with tests/sim, which uses the rest")]
#[path = "../sim/disk.rs"]
mod disk;

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use domain::WorkerId;
use proto::connection::{Connection, Token};
use tempfile::TempDir;
use turmoil::net::TcpStream;
use turmoil::{Builder, Sim};

use content::{Content, assert_exactly_once, content};
use disk::Disk;
use strikes::{Strikes, Struck};

/// Seeds of the short mode.
const SEEDS: u64 = 12;
/// Seeds that have found something. There are none, for the reason that tests/sim gives.
const REGRESSIONS: &[u64] = &[];

const COORDINATOR: &str = "coordinator";
const WORKERS: [&str; 3] = ["worker-0", "worker-1", "worker-2"];
const PORT: u16 = 7_077;

/// Jobs of the sweep.
const JOBS: usize = 12;
const SWEEP: &str = "cut";
/// How long a worker may stay silent.
const LEASE: Duration = Duration::from_secs(6);
/// How long everything takes at most, from the first step to the last.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// A step of the virtual clock.
const TICK: Duration = Duration::from_millis(5);

/// What the hosts of one run share.
struct Scene {
    disk: Disk,
    folder: TempDir,
    connection: Connection,
}

impl Scene {
    fn new() -> Rc<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("http://{COORDINATOR}:{PORT}");
        let connection = Connection { url, certificate: None, token: Token::new("secret") };
        Rc::new(Self { disk: Disk::default(), folder, connection })
    }

    fn results(&self) -> PathBuf {
        self.folder.path().join("results")
    }
}

/// A stream to the coordinator, from whatever host this runs on.
async fn dial() -> io::Result<TcpStream> {
    TcpStream::connect((COORDINATOR, PORT)).await
}

/// The content after a run to which `strikes` happen, and what happened.
fn run(seed: u64, mut strikes: Strikes) -> (Content, Struck) {
    let scene = Scene::new();
    let mut sim: Sim<'_> = Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(PATIENCE)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .tcp_capacity(1_024)
        .build();
    let host = Rc::clone(&scene);
    sim.host(COORDINATOR, move || coordinator_host::serve(Rc::clone(&host)));
    for (number, name) in (0..).zip(WORKERS) {
        let (connection, lives) = (scene.connection.clone(), Cell::new(0));
        sim.host(name, move || {
            let life = lives.replace(lives.get() + 1);
            worker_host::work(
                connection.clone(),
                WorkerId([number, life, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            )
        });
    }
    sim.client("person", person::see_it_through(scene.connection.clone()));
    while !sim.step().unwrap_or_else(|error| panic!("seed {seed}: {error}")) {
        strikes.step(&mut sim, &scene.disk);
    }
    assert_exactly_once(&scene.results(), SWEEP, JOBS);
    (content(&scene.results(), SWEEP), strikes.struck)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn the_content_is_that_of_an_undisturbed_run_whatever_happens_to_the_network_and_the_hosts() {
    let (expected, _) = run(0, Strikes::none());
    let one = number("GRADSWEEP_NET_SEED");
    let count = number("GRADSWEEP_NET_SEEDS").unwrap_or(SEEDS);
    let seeds: Vec<_> = match one {
        Some(seed) => vec![seed],
        None => REGRESSIONS.iter().copied().chain(0..count).collect(),
    };
    let mut total = Struck::new();
    for &seed in &seeds {
        let (found, struck) = run(seed, Strikes::of(seed, one.is_some()));
        assert_eq!(found, expected, "seed {seed}: GRADSWEEP_NET_SEED={seed} cargo test --test net");
        for (what, times) in struck {
            *total.entry(what).or_default() += times;
        }
    }
    println!("{} seeds, the same content each time; {total:?}", seeds.len());
    // A network that does nothing would prove nothing.
    assert!(total.values().sum::<u64>() > 3 * seeds.len() as u64, "{total:?}");
}
