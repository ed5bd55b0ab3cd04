//! Network namespaces with wires between them, which can be unplugged, can swallow what goes over them, or are slow and lose
//! some of it.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::harness::{Place, Process, gradsweep, wait_for};
use crate::skip::skip;
use crate::works;

/// The two ends, gone with this. There is one at a time, as their names are the same each time.
pub struct Wire {
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

pub const HERE: &str = "gradsweep-a";
pub const THERE: &str = "gradsweep-b";
/// An address at the end that is here.
pub const LISTEN: &str = "10.99.0.1:7077";

fn ip(arguments: &str) -> bool {
    works(Command::new("ip").args(arguments.split_whitespace()))
}

fn nft(arguments: &str) -> bool {
    ip(&format!("netns exec {THERE} nft {arguments}"))
}

impl Wire {
    /// `None`, with word of it: this machine does not let us.
    pub fn lay() -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        take_up();
        if !ip(&format!("netns add {HERE}")) {
            skip("no network namespaces here; run as root with `ip` from iproute2");
            return None;
        }
        let wire = Self { _alone: alone };
        let laid = ip(&format!("netns add {THERE}"))
            && ip(&format!("link add gs-a netns {HERE} type veth peer name gs-b netns {THERE}"))
            && ip(&format!("-n {HERE} addr add 10.99.0.1/24 dev gs-a"))
            && ip(&format!("-n {THERE} addr add 10.99.0.2/24 dev gs-b"))
            && ip(&format!("-n {HERE} link set gs-a up"))
            && ip(&format!("-n {THERE} link set gs-b up"))
            && ip(&format!("-n {HERE} link set lo up"))
            && ip(&format!("-n {THERE} link set lo up"));
        if !laid {
            skip("no veth pair can be made between network namespaces here");
        }
        laid.then_some(wire)
    }

    /// The same where packets can be dropped too. `None`, with word of it: they cannot.
    pub fn lay_with_filter() -> Option<Self> {
        let wire = Self::lay()?;
        let can = nft("add table inet gradsweep");
        if !can {
            skip("no `nft` here; install nftables");
        }
        can.then_some(wire)
    }

    pub fn unplug(&self) {
        assert!(ip(&format!("-n {THERE} link set gs-b down")));
    }

    pub fn plug_in(&self) {
        assert!(ip(&format!("-n {THERE} link set gs-b up")));
    }

    /// Swallows what arrives there, without a word to anybody.
    pub fn swallow_what_arrives(&self) {
        self.swallow("input", "iifname");
    }

    /// Swallows what leaves from there.
    pub fn swallow_what_leaves(&self) {
        self.swallow("output", "oifname");
    }

    fn swallow(&self, hook: &str, by: &str) {
        let chain =
            format!("add chain inet gradsweep {hook}s {{ type filter hook {hook} priority 0 ; }}");
        assert!(nft("add table inet gradsweep") && nft(&chain));
        assert!(nft(&format!("add rule inet gradsweep {hook}s {by} gs-b drop")));
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        assert!(nft("delete table inet gradsweep"));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        take_up();
    }
}

/// Three hosts, each at the end of a slow and lossy wire to [`HERE`].
pub struct SlowWires {
    relays: Vec<Process>,
    _alone: MutexGuard<'static, ()>,
}

/// Their namespaces.
pub const HOSTS: [&str; 3] = [THERE, "gradsweep-c", "gradsweep-d"];
/// How late every packet is, each way, and how many of 100 are lost.
const DELAY_MS: &str = "20";
const LOSS: &str = "5";
/// The kernel's own way (netem) is not in every kernel, so a program carries the packets.
const RELAY: &str = include_str!("relay.py");

impl SlowWires {
    /// `None`, with word of it: this machine does not let us.
    pub fn lay(place: &Place) -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        take_up();
        let has_tun = Path::new("/dev/net/tun").exists();
        let can = has_tun && works(Command::new("python3").arg("--version"));
        if !(can && ip(&format!("netns add {HERE}"))) {
            skip(
                "no network namespaces with TUN devices here; run as root with `ip` from iproute2, and python3",
            );
            return None;
        }
        let mut wires = Self { relays: Vec::new(), _alone: alone };
        assert!(ip(&format!("-n {HERE} link set lo up")));
        for (number, host) in (2..).zip(HOSTS) {
            assert!(ip(&format!("netns add {host}")));
            let device = format!("gs-{number}");
            let mut relay = Command::new("python3");
            relay.args(["-c", RELAY, HERE, host, &device, DELAY_MS, LOSS, &number.to_string()]);
            let relay = Process::start(&mut relay, place.path(&format!("relay-{number}.log")));
            let there = format!("10.99.0.{number}");
            for (namespace, end, own, other) in
                [(HERE, "a", "10.99.0.1", &*there), (host, "b", &there, "10.99.0.1")]
            {
                let device = format!("{device}-{end}");
                let up = || {
                    ip(&format!("-n {namespace} addr add {own} peer {other} dev {device}"))
                        && ip(&format!("-n {namespace} link set {device} up"))
                };
                wait_for(|| up().then_some(()), || relay.log());
            }
            wires.relays.push(relay);
        }
        Some(wires)
    }

    /// Packets that were carried, and lost, so far or somewhat less.
    pub fn packets(&self) -> [u64; 2] {
        let mut sums = [0; 2];
        for relay in &self.relays {
            let log = relay.log();
            let counts = log.lines().last().unwrap_or_default().split(' ');
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count.parse().unwrap_or(0);
            }
        }
        sums
    }
}

impl Drop for SlowWires {
    fn drop(&mut self) {
        self.relays.clear();
        take_up();
    }
}

/// Takes up what lies, or what a killed test has left.
fn take_up() {
    for namespace in [HERE].into_iter().chain(HOSTS) {
        ip(&format!("netns del {namespace}"));
    }
}

/// gradsweep inside a namespace.
pub fn inside(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(gradsweep().get_program());
    command.env("NO_COLOR", "1");
    command
}
