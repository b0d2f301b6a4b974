//! Verb by verb: what is asked of the target and how its answer looks on the line.
//!
//! Place:  connection -> [verbs] -> ControlTarget
//! Rule:   one arm per verb; a target that panics costs one answer, not the channel.

use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{json, Map, Value};

use super::line::{answer, refusal, Verb};
use super::socket::DESCRIPTORS_MAX;
use super::{ControlError, ControlTarget};

/// A line for the client, with the descriptors that travel on it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) line: Bytes,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl From<Bytes> for Outgoing {
    fn from(line: Bytes) -> Self {
        Self {
            line,
            descriptors: Vec::new(),
        }
    }
}

type Fields = Map<String, Value>;

/// Carry out one verb and return its answer.
pub(super) async fn perform(target: Arc<dyn ControlTarget>, id: Value, verb: Verb) -> Outgoing {
    let done = AssertUnwindSafe(fields(target.as_ref(), verb))
        .catch_unwind()
        .await;
    let done = done.unwrap_or_else(|_| {
        Err(ControlError::new(
            "edge.internal",
            "the edge failed on this verb; see its log",
        ))
    });
    match done {
        Ok((fields, descriptors)) => Outgoing {
            line: answer(id, fields),
            descriptors,
        },
        Err(fault) => refusal(id, &fault).into(),
    }
}

async fn fields(
    target: &dyn ControlTarget,
    verb: Verb,
) -> Result<(Fields, Vec<OwnedFd>), ControlError> {
    let body = match verb {
        Verb::Apply(snapshot) => json!({"generation": target.apply(snapshot).await?}),
        Verb::AwaitDrained { address, timeout } => {
            json!({"in_flight": target.await_drained(&address, timeout).await})
        }
        Verb::Stats => target.stats(),
        Verb::Inflight => json!({"requests": target.inflight()}),
        Verb::Metrics => json!({"text": target.metrics()}),
        Verb::Drain(timeout) => {
            target.drain(timeout);
            json!({})
        }
        Verb::Ping => target.ping(),
        Verb::Subscribe => json!({}),
        Verb::CacheStats => target.cache_stats()?,
        Verb::CacheWhy(url) => target.cache_why(&url)?,
        Verb::CachePurge(purge) => json!({"dropped": target.cache_purge(&purge)?}),
        Verb::Listeners => return listeners(target),
    };
    match body {
        Value::Object(fields) => Ok((fields, Vec::new())),
        other => Ok((Map::from_iter([("value".to_owned(), other)]), Vec::new())),
    }
}

fn listeners(target: &dyn ControlTarget) -> Result<(Fields, Vec<OwnedFd>), ControlError> {
    let fault = |text: String| ControlError::new("edge.listeners_unavailable", text);
    let found = target
        .listeners()
        .map_err(|error| fault(error.to_string()))?;
    if found.len() > DESCRIPTORS_MAX {
        return Err(fault(format!(
            "{} listeners do not fit one message",
            found.len()
        )));
    }
    let (names, descriptors): (Vec<String>, Vec<OwnedFd>) = found.into_iter().unzip();
    Ok((
        Map::from_iter([("names".to_owned(), json!(names))]),
        descriptors,
    ))
}
