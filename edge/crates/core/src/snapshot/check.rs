//! What the types of the snapshot cannot say: ranges, references, shapes of names.
//!
//! Place: second step of `Snapshot::parse`.
//! Rule: reports every problem, never only the first; allows whatever the manifest allows.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use super::{check_app, check_cache, check_identity, Limits, Problem, Snapshot, SCHEMA};
use crate::target::NormalPath;

/// Longest time of any kind: a leap year.
pub(super) const DURATION_S_MAX: f64 = 366.0 * 86_400.0;
/// Largest number of things that exist at once.
pub(super) const COUNT_MAX: usize = 1_000_000;
/// Largest size of anything.
pub(super) const BYTES_MAX: usize = 1 << 50;
/// Length of the signing secret.
pub const SECRET_BYTES: usize = 32;
/// Longest name of a site, listener or app.
const NAME_BYTES_MAX: usize = 40;

/// Everything wrong with a decoded snapshot.
pub(super) fn problems(snapshot: &Snapshot) -> Vec<Problem> {
    let mut found = Problems::default();
    if snapshot.schema != SCHEMA {
        let message = format!(
            "is {}, but this edge understands {SCHEMA} only",
            snapshot.schema
        );
        found.add("schema", message);
    }
    found.within("generation", snapshot.generation, 1..=u64::MAX);
    found.name("site", &snapshot.site);
    if snapshot.secret.bytes().len() != SECRET_BYTES {
        found.add("secret", format!("must be {SECRET_BYTES} bytes in base64"));
    }
    listeners(snapshot, &mut found);
    limits(&snapshot.limits, &mut found);
    hosts(snapshot, &mut found);
    for (name, app) in &snapshot.apps {
        let path = format!("apps.{name}");
        found.name(&path, name);
        check_app::app(&path, app, &mut found);
    }
    check_identity::identity(snapshot, &mut found);
    check_cache::cache(snapshot, &mut found);
    found.0
}

/// The problems found so far.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(Problem {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    pub(super) fn within<T: PartialOrd + Display>(
        &mut self,
        path: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            self.add(
                path,
                format!(
                    "is {value}, but must be from {} to {}",
                    range.start(),
                    range.end()
                ),
            );
        }
    }

    /// Longer than zero, and not for ever.
    pub(super) fn duration(&mut self, path: &str, value_s: f64) {
        if !(value_s > 0.0 && value_s <= DURATION_S_MAX) {
            self.add(
                path,
                format!(
                    "is {value_s}, but must be more than 0 and at most {DURATION_S_MAX} seconds"
                ),
            );
        }
    }

    pub(super) fn absolute(&mut self, path: &str, file: &Path) {
        if !file.is_absolute() {
            self.add(
                path,
                format!("{:?} must be an absolute path", file.display().to_string()),
            );
        }
    }

    /// Names appear in cookies, sockets, metrics and control lines.
    fn name(&mut self, path: &str, name: &str) {
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !begins || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            let message = format!(
                "{name:?} must be a lower-case letter, then up to {} of a-z, 0-9, - and _",
                NAME_BYTES_MAX - 1
            );
            self.add(path, message);
        }
    }
}

fn listeners(snapshot: &Snapshot, found: &mut Problems) {
    for (name, listener) in &snapshot.listeners {
        let path = format!("listeners.{name}");
        found.name(&path, name);
        if listener.tls && snapshot.certificates.is_empty() {
            found.add(&path, "speaks TLS, but certificates is empty");
        }
    }
    for (index, certificate) in snapshot.certificates.iter().enumerate() {
        found.absolute(&format!("certificates[{index}].cert"), &certificate.cert);
        found.absolute(&format!("certificates[{index}].key"), &certificate.key);
    }
}

fn limits(limits: &Limits, found: &mut Problems) {
    found.within(
        "limits.header_bytes_max",
        limits.header_bytes_max,
        1..=BYTES_MAX,
    );
    found.within("limits.headers_max", limits.headers_max, 1..=COUNT_MAX);
    found.within(
        "limits.target_bytes_max",
        limits.target_bytes_max,
        1..=BYTES_MAX,
    );
    found.duration("limits.header_timeout_s", limits.header_timeout_s);
    found.duration("limits.idle_timeout_s", limits.idle_timeout_s);
    found.duration("limits.body_idle_timeout_s", limits.body_idle_timeout_s);
    found.within(
        "limits.connections_max",
        limits.connections_max,
        1..=COUNT_MAX,
    );
    found.within(
        "limits.h2_streams_max",
        limits.h2_streams_max,
        1..=1_000_000,
    );
    found.duration("limits.drain_s", limits.drain_s);
}

fn hosts(snapshot: &Snapshot, found: &mut Problems) {
    let mut names = HashSet::new();
    for (index, host) in snapshot.hosts.iter().enumerate() {
        let path = format!("hosts[{index}]");
        match host_name(&host.name) {
            None => found.add(
                &format!("{path}.name"),
                format!(
                    "{:?} must be a lower-case host without port, *.example.org, or *",
                    host.name
                ),
            ),
            Some(name) if !names.insert(name.clone()) => {
                found.add(
                    &format!("{path}.name"),
                    format!("{:?} appears twice", host.name),
                );
            }
            Some(_) => {}
        }
        let mut prefixes = HashSet::new();
        for (index, route) in host.routes.iter().enumerate() {
            let path = format!("{path}.routes[{index}]");
            if !is_mount(&route.prefix) {
                let message = format!(
                    "{:?} must be / or begin with / and end without, in normal form",
                    route.prefix
                );
                found.add(&format!("{path}.prefix"), message);
            }
            if !prefixes.insert(&route.prefix) {
                found.add(
                    &format!("{path}.prefix"),
                    format!("{:?} appears twice on this host", route.prefix),
                );
            }
            if !snapshot.apps.contains_key(&route.app) {
                found.add(
                    &format!("{path}.app"),
                    format!("{:?} is not among apps", route.app),
                );
            }
        }
    }
}

/// The canonical spelling of an entry of `hosts`, if it is one.
pub(crate) fn host_name(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    let (star, name) = match text.strip_prefix("*.") {
        Some(suffix) => ("*.", suffix),
        None => ("", text),
    };
    let host = crate::host::Host::parse(name).ok()?;
    let plain = host.port().is_none()
        && !name.contains(|c: char| c.is_ascii_uppercase())
        && !name.ends_with(['.', ':']);
    plain.then(|| format!("{star}{}", host.name()))
}

/// A mount reads the same as a request path, so that routes and requests meet.
pub(super) fn is_mount(prefix: &str) -> bool {
    let normal = NormalPath::parse(prefix).is_ok_and(|path| path.as_str() == prefix);
    normal && (prefix == "/" || (!prefix.ends_with('/') && !prefix.contains("//")))
}
