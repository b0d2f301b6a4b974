//! The documents of the feed socket, as the hub sends them.
//!
//! Place: section 7 of docs/reference/contracts.md; the server's `cache/feed` reads the lines.
//! Rule: unknown fields are passed over, so that a newer hub can say more; a line that cannot be read ends the connection.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The schema this edge speaks.
pub const SCHEMA: u32 = 1;

/// What was read of one source.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pulled {
    /// Changes when the log cannot be continued.
    pub epoch: String,
    /// Where the log was read up to.
    pub cursor: String,
    /// What changed since the edge's cursor.
    pub tags: Vec<String>,
    /// All of it may have changed.
    pub flush: bool,
    /// How long the hub's own reading counts.
    pub lease_left_s: f64,
    /// The hub's count of its readings of this source.
    pub at: u64,
    /// The tables whose changes are seen, with the columns they are told by; none: as before.
    #[serde(default)]
    pub tables: Option<Tables>,
}

/// Tables by name, with the columns by which their changes are told.
pub type Tables = BTreeMap<String, Vec<String>>;

/// What the hub says of one source.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Reading {
    /// It was read.
    Pulled(Pulled),
    /// It cannot be read now.
    Failed {
        /// Why.
        error: String,
    },
}

/// One line of the hub.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// The answer to `hello`.
    Hello {
        /// The id of the request.
        id: u64,
        /// Random for each start of the hub.
        hub: String,
        /// The sources that are followed.
        sources: Vec<String>,
        /// The lease.
        lease_s: f64,
        /// Between two pulls.
        poll_s: f64,
    },
    /// Another edge's writer waits.
    Barrier {
        /// To be named in `applied`.
        barrier: serde_json::Value,
        /// What was read for it.
        sources: BTreeMap<String, Reading>,
    },
    /// The answer to `pull` or `barrier`.
    Pulled {
        /// The id of the request.
        id: u64,
        /// What was read.
        sources: BTreeMap<String, Reading>,
    },
    /// Any other answer: a refusal, or something newer.
    Other {
        /// The id of the request, if it names one.
        id: Option<u64>,
    },
}

impl Line {
    /// A line of the hub; none when it is not one.
    pub fn parse(line: &[u8]) -> Option<Line> {
        serde_json::from_slice(line).ok()
    }
}
