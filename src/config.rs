//! What the environment says. No other file of the command line reads it.

use std::env;
use std::path::PathBuf;

use analysis::Results;
use clap::Args;
use store::{Location, Settings, Store};

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

/// How the environment names a setting of an object store at its beginning: `AWS_REGION`, `GOOGLE_SERVICE_ACCOUNT`,
/// `AZURE_STORAGE_ACCOUNT_NAME`, ...
const STORE_VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// The place that `location` names; an object store with the credentials that the environment has.
pub fn store(location: &Location) -> Result<Store, Failure> {
    let variables = env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let is_ours = STORE_VARIABLES.iter().any(|head| name.starts_with(head));
        is_ours.then(|| (name.to_ascii_lowercase(), value))
    });
    Ok(Store::open(location, &Settings(variables.collect()))?)
}

/// The results in the place that `location` names.
pub fn results(location: &Location) -> Result<Results, Failure> {
    Ok(Results::of(store(location)?)?)
}
