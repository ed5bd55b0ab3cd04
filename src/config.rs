//! What the environment says. No other file of the command line reads it.

use std::env;
use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;

/// Where the connection file is.
#[derive(Clone, Debug, Args)]
pub struct ConnectionArgs {
    /// The coordinator's connection file [default: gradsweep/connection.json in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "FILE", env = "GRADSWEEP_CONNECTION", hide_env_values = true)]
    connection: Option<PathBuf>,
}

impl ConnectionArgs {
    /// The connection file: the one that was named, or the default place.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        match &self.connection {
            Some(path) => Ok(path.clone()),
            None => Ok(state_home().ok_or(Failure::NoStateFolder)?.join("connection.json")),
        }
    }
}

/// gradsweep's folder among the user's state; `None` where the environment names no home.
pub fn state_home() -> Option<PathBuf> {
    user_folder("XDG_STATE_HOME", ".local/state")
}

/// gradsweep's folder among what may be deleted at any time.
pub fn cache_home() -> Option<PathBuf> {
    user_folder("XDG_CACHE_HOME", ".cache")
}

/// The XDG rules: an absolute path in `variable`, else `below` the home folder.
fn user_folder(variable: &str, below: &str) -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let named = env::var_os(variable).map(PathBuf::from).and_then(absolute);
    let home = || env::var_os("HOME").map(PathBuf::from).and_then(absolute);
    let base = named.or_else(|| Some(home()?.join(below)))?;
    Some(base.join("gradsweep"))
}

/// Whether colours are welcome on a terminal: <https://no-color.org> and terminals that know none.
pub fn wants_colour() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
    !refused && !dumb
}

/// Which log events are written, as tracing's filter has it.
pub fn log_filter() -> String {
    env::var("GRADSWEEP_LOG").unwrap_or_else(|_| "info".to_owned())
}
