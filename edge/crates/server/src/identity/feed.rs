//! The feed of accounts: keys and revocations, read again and again for as long as the edge lives.
//!
//! Place: serving.rs starts it; edge.rs and held answers ask for it -> [feed] -> call.rs, gate.rs
//! Rule:  one reading at a time; a position is known only when everything below it is in force.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use mergepoint_edge_core::identity::feed::Feed as Told;
use tokio::sync::{watch, Notify};
use tokio::time::Instant;

use super::call::{self, CallError};
use super::gate::Gate;
use crate::clock::{moment, seconds};
use crate::edge::{Edge, Loaded};

/// Longest pause between two readings that fail.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often the pause is doubled before it stays.
const DOUBLINGS_MAX: u32 = 8;

/// How long the first reading may delay the first request.
const FIRST_LIMIT: Duration = Duration::from_secs(1);

/// How long an answer of accounts waits for the edge to apply what it caused; the contract's number.
const HOLD_LIMIT: Duration = Duration::from_secs(1);

/// Between two readings for a held answer, should the first come too early.
const HOLD_PAUSE: Duration = Duration::from_millis(20);

/// Answers of this size and more are read by another thread.
const PARSED_ASIDE_BYTES: usize = 256 * 1024;

/// How far accounts has been read, over all snapshots.
#[derive(Debug, Default)]
pub struct Feed {
    /// The position in force; sent anew after every reading.
    read: watch::Sender<u64>,
    asked: Notify,
}

/// Why a reading brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Accounts could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Accounts refused.
    #[error("the accounts app answered {0} when asked what was revoked")]
    Status(u16),
    /// The answer is none.
    #[error("the answer of the accounts app cannot be read: {0}")]
    Form(String),
}

impl Feed {
    /// Read now rather than later.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Wait until a position is in force, at most `HOLD_LIMIT`; reads until then.
    pub async fn hold(&self, position: u64) {
        let deadline = Instant::now() + HOLD_LIMIT;
        let mut read = self.read.subscribe();
        while *read.borrow_and_update() < position {
            self.ask();
            let done = tokio::time::timeout_at(deadline, read.changed()).await;
            if !matches!(done, Ok(Ok(()))) {
                return;
            }
            if *read.borrow() < position {
                tokio::time::sleep(HOLD_PAUSE).await;
            }
        }
    }
}

/// Read the feed before the first request, so that a new edge knows what the old one knew.
pub async fn first(edge: &Arc<Edge>) {
    let loaded = edge.loaded();
    if loaded.snapshot.identity.is_none() {
        return;
    }
    // What could not be read now is read by `follow`.
    let _ = tokio::time::timeout(FIRST_LIMIT, read(&edge.gate, &loaded)).await;
}

/// Read the feed for ever.
pub async fn follow(edge: Arc<Edge>) {
    let mut failures = 0;
    loop {
        let pause = {
            let loaded = edge.loaded();
            match &loaded.snapshot.identity {
                None => None,
                Some(identity) => {
                    let done = read(&edge.gate, &loaded).await;
                    failures = told(&edge.gate, &done, failures);
                    if done.is_err() {
                        edge.gate.doubt(identity);
                    }
                    let doubled = 2u32.pow(failures.min(DOUBLINGS_MAX));
                    let least = seconds(identity.poll_s);
                    let longest = PAUSE_MAX.max(least);
                    Some(least.saturating_mul(doubled).min(longest))
                }
            }
        };
        match pause {
            Some(pause) => drop(tokio::time::timeout(pause, edge.gate.feed.asked.notified()).await),
            None => edge.gate.feed.asked.notified().await,
        }
    }
}

/// Say when it stops and when it goes on, not every time; how often it has failed in a row.
fn told(gate: &Gate, done: &Result<(), FeedError>, failures: u32) -> u32 {
    let Err(error) = done else {
        if failures > 0 {
            eprintln!("mergepoint-edge: identity: what was revoked is known again");
        }
        return 0;
    };
    // While a site starts, accounts has no worker yet: that is no news.
    let starts = *error == FeedError::Call(CallError::NoWorker) && !gate.was_read();
    if starts {
        return 0;
    }
    if failures == 0 {
        eprintln!("mergepoint-edge: identity: {error}");
    }
    failures.saturating_add(1)
}

async fn read(gate: &Gate, loaded: &Loaded) -> Result<(), FeedError> {
    let begun = moment();
    let (epoch, position) = gate.place();
    let said = call::feed(loaded, &epoch, position).await?;
    if said.status != StatusCode::OK {
        return Err(FeedError::Status(said.status.as_u16()));
    }
    let told = if said.body.len() < PARSED_ASIDE_BYTES {
        Told::parse(&said.body)
    } else {
        // Milliseconds: requests go on meanwhile where there is another thread.
        let parsed = tokio::task::spawn_blocking(move || Told::parse(&said.body)).await;
        parsed.unwrap_or_else(|error| Err(error.to_string()))
    };
    let told = told.map_err(FeedError::Form)?;
    let position = gate.obey(&told, begun);
    gate.feed.read.send_replace(position);
    Ok(())
}
