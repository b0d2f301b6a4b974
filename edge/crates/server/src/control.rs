//! The control channel: JSON lines over a Unix socket that only our own user or root may open.
//!
//! Place:  supervisor -> [control] -> a `ControlTarget` (the running edge)
//! Rule:   bytes, verbs and descriptors only; every decision is the target's.
//!
//! The verbs and their answers are in `docs/reference/contracts.md`, section 2.

mod connection;
mod line;
mod socket;
mod verbs;

pub use line::Purge;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::sync::{broadcast, Semaphore};

/// Longest line accepted, in bytes; the contract's number.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Event lines that may wait for one subscriber; the capacity a target gives its broadcast channel.
pub const EVENTS_WAITING_MAX: usize = 1024;
/// Connections served at once; more wait in the backlog.
const CONNECTIONS_MAX: usize = 64;
/// Pause after a failed accept, so that a full descriptor table does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a verb was refused; `code` is stable (`edge.snapshot_invalid`), `message` is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ControlError {
    /// Dotted name that programs compare.
    pub code: &'static str,
    /// What was wrong, where, and what to do.
    pub message: String,
}

impl ControlError {
    /// An error with a stable code and a message for people.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// What the control channel drives: the running edge.
pub trait ControlTarget: Send + Sync + 'static {
    /// Apply a snapshot (its JSON text) whole or not at all; the generation now in force.
    fn apply(&self, snapshot: Bytes) -> BoxFuture<'_, Result<u64, ControlError>>;
    /// Wait until the address holds no request; how many it still holds at the deadline.
    fn await_drained<'a>(&'a self, address: &'a str, timeout: Duration) -> BoxFuture<'a, usize>;
    /// The `stats` answer, a JSON object.
    fn stats(&self) -> Value;
    /// The `requests` list of the `inflight` answer, oldest first.
    fn inflight(&self) -> Value;
    /// The Prometheus exposition.
    fn metrics(&self) -> String;
    /// Begin to drain and return at once.
    fn drain(&self, timeout: Duration);
    /// Duplicates of the listening descriptors, by name.
    ///
    /// # Errors
    /// When a descriptor cannot be duplicated.
    fn listeners(&self) -> io::Result<Vec<(String, OwnedFd)>>;
    /// Event lines without their newline, from a channel of `EVENTS_WAITING_MAX` places.
    fn subscribe(&self) -> broadcast::Receiver<Arc<str>>;
    /// The `ping` answer, a JSON object: version, pid, generation.
    fn ping(&self) -> Value;
    /// The `cache_stats` answer, a JSON object.
    ///
    /// # Errors
    /// The site has no cache.
    fn cache_stats(&self) -> Result<Value, ControlError>;
    /// The `cache_why` answer about an address, a JSON object.
    ///
    /// # Errors
    /// The site has no cache.
    fn cache_why(&self, url: &str) -> Result<Value, ControlError>;
    /// Drop what is named; how much was there.
    ///
    /// # Errors
    /// The site has no cache.
    fn cache_purge(&self, purge: &Purge) -> Result<usize, ControlError>;
}

/// A bound control socket; the file is removed when this is dropped, if it is still ours.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Control {
    /// Bind the socket with mode 0600, replacing a stale socket file that nobody answers on.
    ///
    /// # Errors
    /// When the path is taken by something else, is too long, or cannot be bound; names the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = socket::bind(path)?;
        let inode = socket::inode(path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
        })
    }

    /// Serve connections until the returned future is dropped.
    pub async fn serve(self, target: Arc<dyn ControlTarget>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) if socket::peer_allowed(&stream) => {
                    let target = Arc::clone(&target);
                    tokio::spawn(async move {
                        // A broken connection concerns its client alone.
                        let _ = connection::serve(stream, target).await;
                        drop(place);
                    });
                }
                Ok(_) => eprintln!("mergepoint-edge: control: refused a peer of another user"),
                Err(fault) => {
                    eprintln!("mergepoint-edge: control: cannot accept: {fault}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if socket::inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Bind `path` and serve `target` on it until the future is dropped.
///
/// # Errors
/// When the socket cannot be bound.
pub async fn run(path: &Path, target: Arc<dyn ControlTarget>) -> io::Result<()> {
    Control::bind(path)?.serve(target).await;
    Ok(())
}
