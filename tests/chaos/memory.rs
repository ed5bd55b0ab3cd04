//! A trial that the kernel kills for memory, in a control group that the test makes itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use domain::Table;

use crate::content::{assert_exactly_once, content};
use crate::harness::{Place, gradsweep, succeed};
use crate::skip::skip;

/// One job of some megabytes and one of some hundred.
const SWEEP: &str = r#"
name = "large"
[[zip]]
"data.samples" = [16, 4096]
"data.dim" = [8, 8192]
[model]
kind = "linear"
[data]
kind = "gaussian"
[train]
steps = 10
step_size = 1e-6
[measure]
at = { log = 2 }
confusion = []
[run]
attempts = 2
"#;

/// What the worker and its trials may take together.
const LIMIT: u64 = 96 << 20;

/// A control group for memory, gone with this.
struct Group(PathBuf);

impl Group {
    /// `None`, with word of it: this machine does not let us.
    fn make() -> Option<Self> {
        let path = PathBuf::from("/sys/fs/cgroup/memory/gradsweep-chaos");
        drop(fs::remove_dir(&path));
        let made = fs::create_dir(&path)
            .and_then(|()| fs::write(path.join("memory.limit_in_bytes"), LIMIT.to_string()));
        match made {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                skip(format_args!(
                    "no control group of version 1 can be made at {} ({error}); run as root",
                    path.display()
                ));
                None
            }
        }
    }

    /// gradsweep within the group.
    fn inside(&self) -> Command {
        let mut command = Command::new("sh");
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        command.args(["-c", &enter]).arg(gradsweep().get_program());
        command.env("NO_COLOR", "1");
        command
    }

    /// How often the kernel killed in it.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.0.join("memory.oom_control")).expect("is there");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).expect("it counts")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

#[test]
#[ignore = "needs root and control groups"]
fn a_trial_that_is_killed_for_memory_is_given_up_with_evidence_and_done_where_there_is_more() {
    let Some(group) = Group::make() else { return };
    let place = Place::new();
    let coordinator = place.coordinator();
    let mut small = place.worker_by(group.inside(), 1, &[]);
    succeed(place.client(&["submit"]).arg(place.sweep(SWEEP)));
    place.wait_status("large", |status| {
        status["committed"] == 1 && status["abandoned"] == 1 && status["sealed"] == true
    });
    assert_eq!(group.kills(), 2, "one for each attempt, and not for ever: {}", small.log());
    let failures = || {
        let results = analysis::results::Results::open(&place.results()).expect("opens");
        let sweep = "large".parse().expect("a good name");
        results.read(Table::Failures, &sweep, &["class", "signal", "message"]).expect("reads")
    };
    let seen = failures();
    assert_eq!(seen.texts("class"), [Some("out-of-memory"); 2]);
    assert_eq!(seen.ints("signal"), [Some(9); 2]);
    for message in seen.texts("message").into_iter().flatten() {
        assert!(message.contains("oom_kill") && message.contains("rose from"), "{message}");
    }
    // The agent outlived both, and another host has the memory.
    small.signal("TERM");
    assert_eq!(small.exit_code(), Some(0), "{}", small.log());
    let _large = place.worker(1);
    succeed(&mut place.client(&["retry", "large", "--failed", "--class", "out-of-memory"]));
    place.wait_status("large", |status| status["over"] == true && status["committed"] == 2);
    assert_exactly_once(&place.results(), "large", 2);
    let calm = Place::new();
    succeed(&mut calm.run(&calm.sweep(SWEEP), 1));
    let (here, there) = (content(&place.results(), "large"), content(&calm.results(), "large"));
    assert_eq!(here, there, "{}", coordinator.log());
}
