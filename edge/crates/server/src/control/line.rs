//! One line in, one line out: the grammar of the control channel, without a socket.
//!
//! Place:  connection -> [line] -> verbs
//! Rule:   pure; an unreadable line still gets an answer that says why.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{json, Map, Value};

use super::ControlError;

/// Longest wait a client may ask for, in seconds.
const TIMEOUT_S_MAX: f64 = 86_400.0;

/// A request as it stands on the line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    id: Value,
    verb: String,
    #[serde(borrow)]
    snapshot: Option<&'a RawValue>,
    address: Option<String>,
    timeout_s: Option<f64>,
    url: Option<String>,
    prefix: Option<String>,
    tags: Option<Vec<String>>,
    all: Option<bool>,
}

/// What of the cache is dropped.
#[derive(Debug, Clone, PartialEq)]
pub enum Purge {
    /// What bears one of these tags.
    Tags(Vec<String>),
    /// What lies at this address.
    Url(String),
    /// What lies at an address that begins so.
    Prefix(String),
    /// Everything.
    All,
}

/// What the client wants done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verb {
    Apply(Bytes),
    AwaitDrained { address: String, timeout: Duration },
    Stats,
    Inflight,
    Metrics,
    Drain(Duration),
    Listeners,
    Subscribe,
    Ping,
    CacheStats,
    CacheWhy(String),
    CachePurge(Purge),
}

/// Read one line; on a fault the id, if there was one, and the reason.
pub(super) fn parse(line: &[u8]) -> Result<(Value, Verb), (Value, ControlError)> {
    let wire: Wire<'_> = serde_json::from_slice(line).map_err(|fault| {
        (
            Value::Null,
            invalid(format!("the line is not a control request: {fault}")),
        )
    })?;
    let id = wire.id.clone();
    match verb(&wire) {
        Ok(verb) => Ok((id, verb)),
        Err(fault) => Err((id, fault)),
    }
}

fn verb(wire: &Wire<'_>) -> Result<Verb, ControlError> {
    Ok(match wire.verb.as_str() {
        "apply" => {
            let text = wire.snapshot.ok_or_else(|| missing("apply", "snapshot"))?;
            Verb::Apply(Bytes::copy_from_slice(text.get().as_bytes()))
        }
        "await_drained" => {
            let address = wire
                .address
                .clone()
                .ok_or_else(|| missing("await_drained", "address"))?;
            Verb::AwaitDrained {
                address,
                timeout: timeout("await_drained", wire.timeout_s)?,
            }
        }
        "drain" => Verb::Drain(timeout("drain", wire.timeout_s)?),
        "stats" => Verb::Stats,
        "inflight" => Verb::Inflight,
        "metrics" => Verb::Metrics,
        "listeners" => Verb::Listeners,
        "subscribe" => Verb::Subscribe,
        "ping" => Verb::Ping,
        "cache_stats" => Verb::CacheStats,
        "cache_why" => {
            let url = wire.url.clone();
            Verb::CacheWhy(url.ok_or_else(|| missing("cache_why", "url"))?)
        }
        "cache_purge" => Verb::CachePurge(purge(wire)?),
        other => {
            let message =
                format!("the edge has no verb {other:?}; see the control channel contract");
            return Err(ControlError::new("edge.verb_unknown", message));
        }
    })
}

fn purge(wire: &Wire<'_>) -> Result<Purge, ControlError> {
    let named = [
        wire.tags.clone().map(Purge::Tags),
        wire.url.clone().map(Purge::Url),
        wire.prefix.clone().map(Purge::Prefix),
        wire.all.and_then(|all| all.then_some(Purge::All)),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(purge), None) => Ok(purge),
        _ => Err(invalid(
            "cache_purge needs one of the arguments tags, url, prefix and all".to_owned(),
        )),
    }
}

fn timeout(verb: &str, seconds: Option<f64>) -> Result<Duration, ControlError> {
    let seconds = seconds.ok_or_else(|| missing(verb, "timeout_s"))?;
    if (0.0..=TIMEOUT_S_MAX).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(invalid(format!(
        "{verb}: timeout_s is {seconds}, not between 0 and {TIMEOUT_S_MAX}"
    )))
}

fn missing(verb: &str, argument: &str) -> ControlError {
    invalid(format!("{verb} needs the argument {argument}"))
}

pub(super) fn invalid(message: String) -> ControlError {
    ControlError::new("edge.request_invalid", message)
}

/// The line of a successful answer: the id, `ok`, and the fields of `body`.
pub(super) fn answer(id: Value, body: Map<String, Value>) -> Bytes {
    let mut fields = body;
    fields.insert("id".into(), id);
    fields.insert("ok".into(), Value::Bool(true));
    end(&Value::Object(fields))
}

/// The line of a refusal.
pub(super) fn refusal(id: Value, fault: &ControlError) -> Bytes {
    end(&json!({
        "id": id, "ok": false, "error": {"code": fault.code, "message": fault.message},
    }))
}

fn end(value: &Value) -> Bytes {
    let mut text = value.to_string();
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (Value, String) {
        let (id, fault) = parse(line.as_bytes()).unwrap_err();
        (id, format!("{}: {}", fault.code, fault.message))
    }

    #[test]
    fn a_snapshot_reaches_the_target_byte_for_byte() {
        let (id, verb) =
            parse(br#"{"id":3,"verb":"apply","snapshot":{"a": 1.50, "a":2}}"#).unwrap();
        assert_eq!(id, json!(3));
        assert_eq!(
            verb,
            Verb::Apply(Bytes::from_static(br#"{"a": 1.50, "a":2}"#))
        );
    }

    #[test]
    fn what_of_the_cache_is_dropped_is_named_in_one_way() {
        let purged = |arguments: &str| {
            let line = format!(r#"{{"id":1,"verb":"cache_purge"{arguments}}}"#);
            match parse(line.as_bytes()) {
                Ok((_, Verb::CachePurge(purge))) => Some(purge),
                _ => None,
            }
        };
        let tags = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(purged(r#","tags":["a","b"]"#), Some(Purge::Tags(tags)));
        assert_eq!(purged(r#","url":"x""#), Some(Purge::Url("x".to_owned())));
        assert_eq!(
            purged(r#","prefix":"x""#),
            Some(Purge::Prefix("x".to_owned()))
        );
        assert_eq!(purged(r#","all":true"#), Some(Purge::All));
        for wrong in ["", r#","all":false"#, r#","all":true,"url":"x""#] {
            assert_eq!(purged(wrong), None, "{wrong}");
        }
        assert!(refused(r#"{"id":1,"verb":"cache_why"}"#).1.contains("url"));
    }

    #[test]
    fn a_fault_is_answered_under_the_id_of_its_request() {
        let (id, text) = refused(r#"{"id":"x","verb":"await_drained","timeout_s":1}"#);
        assert_eq!(id, json!("x"));
        assert!(text.contains("needs the argument address"), "{text}");
        assert!(refused(r#"{"id":1,"verb":"fly"}"#)
            .1
            .starts_with("edge.verb_unknown"));
    }

    #[test]
    fn hopeless_lines_and_times_are_refused_not_guessed() {
        for line in [
            "",
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"id":1,"verb":"ping","x":1}"#,
            "\u{0}",
        ] {
            assert_eq!(refused(line).0, Value::Null, "{line:?}");
        }
        for seconds in ["-1", "1e300", "86401"] {
            let line = format!(r#"{{"id":1,"verb":"drain","timeout_s":{seconds}}}"#);
            assert!(refused(&line).1.contains("timeout_s"), "{line}");
        }
    }
}
