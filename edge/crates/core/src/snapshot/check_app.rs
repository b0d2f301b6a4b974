//! Ranges and shapes inside one app of the snapshot.
//!
//! Place: part of `check`.
//! Rule: as `check`: every problem, and whatever the manifest allows is allowed.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};

use super::check::{Problems, BYTES_MAX, COUNT_MAX, DURATION_S_MAX};
use super::{App, Balance, BalanceBy, Health, Pool, Redirect, Retry, SlotState, StaticFiles};
use crate::target::NormalTarget;

/// Most attempts of one request.
const ATTEMPTS_MAX: u32 = 10;
/// Most requests that wait for one app.
const QUEUE_MAX: usize = 1_000_000_000;

pub(super) fn app(path: &str, app: &App, found: &mut Problems) {
    match app {
        App::Pool(app) => pool(path, app, found),
        App::Static(app) => files(path, app, found),
        App::Redirect(app) => redirect(path, app, found),
    }
}

fn pool(path: &str, pool: &Pool, found: &mut Problems) {
    slots(path, pool, found);
    found.within(
        &format!("{path}.canary_share"),
        pool.canary_share,
        0.0..=1.0,
    );
    found.within(
        &format!("{path}.concurrency"),
        pool.concurrency,
        1..=1_000_000,
    );
    found.within(
        &format!("{path}.queue.length_max"),
        pool.queue.length_max,
        0..=QUEUE_MAX,
    );
    found.duration(&format!("{path}.queue.wait_s"), pool.queue.wait_s);
    balance(&format!("{path}.balance"), &pool.balance, found);
    let times = &pool.timeouts;
    found.duration(&format!("{path}.timeouts.connect_s"), times.connect_s);
    found.duration(&format!("{path}.timeouts.request_s"), times.request_s);
    found.duration(&format!("{path}.timeouts.body_idle_s"), times.body_idle_s);
    found.duration(
        &format!("{path}.timeouts.tunnel_idle_s"),
        times.tunnel_idle_s,
    );
    retry(&format!("{path}.retry"), &pool.retry, found);
    health(&format!("{path}.health"), &pool.health, found);
}

fn slots(path: &str, pool: &Pool, found: &mut Problems) {
    let mut addresses = HashSet::new();
    let mut ready = HashSet::new();
    for (index, slot) in pool.slots.iter().enumerate() {
        let path = format!("{path}.slots[{index}]");
        if !addresses.insert(&slot.address) {
            found.add(
                &format!("{path}.address"),
                format!("{} appears twice", slot.address),
            );
        }
        // While a slot is replaced its old address drains under the same number.
        if slot.state == SlotState::Ready && !ready.insert((slot.slot, slot.group)) {
            found.add(
                &format!("{path}.slot"),
                format!("{} is ready at two addresses", slot.slot),
            );
        }
    }
}

fn balance(path: &str, balance: &Balance, found: &mut Problems) {
    let named = match balance.by {
        BalanceBy::Header => HeaderName::from_bytes(balance.name.as_bytes()).is_ok(),
        // The name of a cookie is a token, as that of a header is.
        BalanceBy::Cookie => HeaderName::from_bytes(balance.name.as_bytes()).is_ok(),
        BalanceBy::Least | BalanceBy::Path | BalanceBy::Sticky => true,
    };
    if !named {
        found.add(
            &format!("{path}.name"),
            format!("{:?} must be the name of a header or cookie", balance.name),
        );
    }
    found.within(&format!("{path}.segments"), balance.segments, 1..=COUNT_MAX);
    found.within(
        &format!("{path}.load_factor"),
        balance.load_factor,
        1.0..=1000.0,
    );
    found.within(
        &format!("{path}.load_floor"),
        balance.load_floor,
        0..=1_000_000,
    );
}

fn retry(path: &str, retry: &Retry, found: &mut Problems) {
    found.within(
        &format!("{path}.budget_ratio"),
        retry.budget_ratio,
        0.0..=1.0,
    );
    found.within(
        &format!("{path}.budget_min_per_s"),
        retry.budget_min_per_s,
        0.0..=1e6,
    );
    found.within(
        &format!("{path}.attempts_max"),
        retry.attempts_max,
        1..=ATTEMPTS_MAX,
    );
    found.within(
        &format!("{path}.body_bytes_max"),
        retry.body_bytes_max,
        0..=BYTES_MAX as u64,
    );
}

fn health(path: &str, health: &Health, found: &mut Problems) {
    if let Some(probe) = &health.path {
        if !NormalTarget::parse(probe).is_ok_and(|target| target.to_string() == *probe) {
            found.add(
                &format!("{path}.path"),
                format!("{probe:?} must be a path in normal form"),
            );
        }
    }
    for (name, value) in &health.headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err()
        {
            found.add(&format!("{path}.headers.{name}"), "is not a header field");
        }
    }
    found.within(&format!("{path}.status_min"), health.status_min, 100..=599);
    found.within(
        &format!("{path}.status_max"),
        health.status_max,
        health.status_min.min(599)..=599,
    );
    found.duration(&format!("{path}.interval_s"), health.interval_s);
    found.duration(&format!("{path}.timeout_s"), health.timeout_s);
    found.within(
        &format!("{path}.eject_after"),
        health.eject_after,
        0..=1_000_000,
    );
    found.within(
        &format!("{path}.eject_s"),
        health.eject_s,
        0.0..=DURATION_S_MAX,
    );
}

fn files(path: &str, files: &StaticFiles, found: &mut Problems) {
    found.absolute(&format!("{path}.root"), &files.root);
    for (index, name) in files.index.iter().enumerate() {
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name == "." || name == ".." {
            found.add(
                &format!("{path}.index[{index}]"),
                format!("{name:?} must be the name of a file"),
            );
        }
    }
    if let Some(fallback) = &files.fallback {
        let inside = fallback
            .split('/')
            .all(|name| !matches!(name, "" | "." | ".."));
        if !inside || fallback.contains(['\\', '\0']) {
            found.add(
                &format!("{path}.fallback"),
                format!("{fallback:?} must be a file below root"),
            );
        }
    }
    if files
        .cache_control
        .as_deref()
        .is_some_and(|value| HeaderValue::from_str(value).is_err())
    {
        found.add(&format!("{path}.cache_control"), "is not a header value");
    }
}

fn redirect(path: &str, redirect: &Redirect, found: &mut Problems) {
    let url = ["http://", "https://"]
        .iter()
        .any(|scheme| redirect.to.starts_with(scheme));
    let local = redirect.to.starts_with('/') && !redirect.to.starts_with("//");
    let plain = redirect
        .to
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'\\');
    if !(url || local) || !plain {
        let message = format!("{:?} must be a path or an http or https URL", redirect.to);
        found.add(&format!("{path}.to"), message);
    }
    if !matches!(redirect.status, 301 | 302 | 303 | 307 | 308) {
        let message = format!(
            "is {}, but must be 301, 302, 303, 307 or 308",
            redirect.status
        );
        found.add(&format!("{path}.status"), message);
    }
}
