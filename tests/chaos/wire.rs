//! Two network namespaces with a wire between them, which can be unplugged, or can swallow what goes over it.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::harness::gradsweep;
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
        // What a killed test has left.
        for end in [HERE, THERE] {
            ip(&format!("netns del {end}"));
        }
        if !ip(&format!("netns add {HERE}")) {
            println!("SKIPPED: no network namespaces here; run as root with `ip` from iproute2");
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
            println!("SKIPPED: no veth pair can be made between network namespaces here");
        }
        laid.then_some(wire)
    }

    /// The same where packets can be dropped too. `None`, with word of it: they cannot.
    pub fn lay_with_filter() -> Option<Self> {
        let wire = Self::lay()?;
        let can = nft("add table inet gradsweep");
        if !can {
            println!("SKIPPED: no `nft` here; install nftables");
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
        ip(&format!("netns del {HERE}"));
        ip(&format!("netns del {THERE}"));
    }
}

/// gradsweep inside a namespace.
pub fn inside(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(gradsweep().get_program());
    command.env("NO_COLOR", "1");
    command
}
