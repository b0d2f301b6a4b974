//! What the process is told at its start: arguments, environment, descriptors.
//!
//! Place: main -> [startup] -> serving.rs
//! Rule:  the environment is read here and nowhere else; whatever is wrong is said in one line with a way out.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use mergepoint_edge_core::snapshot::Snapshot;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use crate::inherit;

/// Exit status for a wrong configuration, from sysexits.h.
pub const EXIT_CONFIG: u8 = 78;

/// Most worker threads.
const THREADS_MAX: usize = 256;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve.
    Serve,
    /// Parse a snapshot.
    Check(PathBuf),
    /// Print the version.
    Version,
}

/// What serving needs.
pub struct Settings {
    /// The first snapshot.
    pub snapshot: Snapshot,
    /// Listening descriptors by name.
    pub listeners: Vec<(String, OwnedFd)>,
    /// Where the control socket goes.
    pub control: PathBuf,
    /// Where `READY` goes.
    pub ready: Option<File>,
    /// Worker threads.
    pub threads: usize,
}

/// The task of these arguments.
///
/// # Errors
/// How the program is used.
pub fn task(arguments: &[OsString]) -> Result<Task, String> {
    match arguments {
        [] => Ok(Task::Serve),
        [flag] if flag == "--version" => Ok(Task::Version),
        [flag, file] if flag == "--check" => Ok(Task::Check(file.into())),
        _ => Err("usage: mergepoint-edge [--version | --check FILE]; without arguments it is started by mergepoint".into()),
    }
}

/// Parse the snapshot in a file.
///
/// # Errors
/// Every problem, each on a line of its own.
pub fn read_snapshot(path: &Path) -> Result<Snapshot, String> {
    let document = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Snapshot::parse(&document).map_err(|error| format!("{}: {error}", path.display()))
}

/// Everything from the environment.
///
/// # Errors
/// What is missing or wrong.
pub fn settings(variable: impl Fn(&str) -> Option<OsString>) -> Result<Settings, String> {
    let path = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .ok_or_else(|| format!("{name} is not set; mergepoint sets it when it starts the edge"))
    };
    let snapshot = read_snapshot(&path("MERGEPOINT_EDGE_SNAPSHOT")?)?;
    let listeners = listeners(
        number(&variable, "LISTEN_FDS")?.unwrap_or(0),
        &text(&variable, "LISTEN_FDNAMES")?,
    )?;
    for (name, _) in &listeners {
        if !snapshot.listeners.contains_key(name) {
            return Err(format!(
                "LISTEN_FDNAMES: the snapshot has no listener {name:?}"
            ));
        }
    }
    let ready = match number(&variable, "MERGEPOINT_READY_FD")? {
        Some(number) => Some(File::from(
            inherit::take(number as RawFd).map_err(|why| format!("MERGEPOINT_READY_FD: {why}"))?,
        )),
        None => None,
    };
    let threads = number(&variable, "MERGEPOINT_EDGE_THREADS")?.unwrap_or(1) as usize;
    if !(1..=THREADS_MAX).contains(&threads) {
        return Err(format!(
            "MERGEPOINT_EDGE_THREADS is {threads}, not between 1 and {THREADS_MAX}"
        ));
    }
    Ok(Settings {
        snapshot,
        listeners,
        control: path("MERGEPOINT_EDGE_CONTROL")?,
        ready,
        threads,
    })
}

fn text(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Result<String, String> {
    variable(name)
        .unwrap_or_default()
        .into_string()
        .map_err(|_| format!("{name} is not UTF-8"))
}

fn number(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<u16>, String> {
    let text = text(variable, name)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("{name} is {text:?}, not a small number"))
}

fn listeners(count: u16, names: &str) -> Result<Vec<(String, OwnedFd)>, String> {
    let names: Vec<&str> = names.split(':').filter(|name| !name.is_empty()).collect();
    if names.len() != usize::from(count) {
        return Err(format!(
            "LISTEN_FDS is {count}, but LISTEN_FDNAMES has {} names",
            names.len()
        ));
    }
    let take = |(number, name): (RawFd, &&str)| {
        let descriptor = inherit::take(number).map_err(|why| format!("listener {name}: {why}"))?;
        Ok(((*name).to_owned(), descriptor))
    };
    (3..).zip(&names).map(take).collect()
}

/// Allow as many descriptors as the system lets us have.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused: the old limit stays, and accepting pauses when it is reached.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_understood_or_explained() {
        let task =
            |words: &[&str]| super::task(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(task(&[]), Ok(Task::Serve));
        assert_eq!(task(&["--version"]), Ok(Task::Version));
        assert_eq!(task(&["--check", "a"]), Ok(Task::Check("a".into())));
        assert!(task(&["--check"]).unwrap_err().starts_with("usage:"));
        assert!(task(&["serve"]).unwrap_err().starts_with("usage:"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = settings(|_| None).err().unwrap();
        assert!(
            error.starts_with("MERGEPOINT_EDGE_SNAPSHOT is not set"),
            "{error}"
        );
        assert!(listeners(2, "http")
            .unwrap_err()
            .contains("LISTEN_FDNAMES has 1 names"));
        assert!(number(&|_: &str| Some("-1".into()), "X")
            .unwrap_err()
            .contains("X is \"-1\""));
    }
}
