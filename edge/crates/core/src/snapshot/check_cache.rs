//! Ranges and shapes of the cache's settings.
//!
//! Place: part of `check`.
//! Rule: as `check`: every problem, and whatever the manifest allows is allowed.

use super::check::{Problems, DURATION_S_MAX};
use super::{Address, App, AppCache, Cache, Snapshot};

/// Most room for all answers.
const BYTES_MAX: u64 = 1 << 40;
/// Most cookies in one key.
const COOKIES_MAX: usize = 16;

pub(super) fn cache(snapshot: &Snapshot, found: &mut Problems) {
    if let Some(cache) = &snapshot.cache {
        site(cache, found);
    }
    for (name, app) in &snapshot.apps {
        let App::Pool(pool) = app else { continue };
        let Some(cache) = &pool.cache else { continue };
        let path = format!("apps.{name}.cache");
        if snapshot.cache.is_none() {
            found.add(&path, "the snapshot has no cache to keep it in");
        }
        kept(&path, cache, found);
    }
}

fn site(cache: &Cache, found: &mut Problems) {
    if matches!(&cache.feed, Some(Address::Tcp(_))) {
        found.add("cache.feed", "must be unix:/absolute/path");
    }
    found.within("cache.bytes_max", cache.bytes_max, 1..=BYTES_MAX);
    let entry = cache.entry_bytes_max;
    found.within("cache.entry_bytes_max", entry, 1..=cache.bytes_max.max(1));
    found.duration("cache.lease_s", cache.lease_s);
    found.duration("cache.poll_s", cache.poll_s);
    found.duration("cache.call_s", cache.call_s);
}

fn kept(path: &str, cache: &AppCache, found: &mut Problems) {
    for (name, value) in [("ttl_s", cache.ttl_s), ("stale_s", cache.stale_s)] {
        found.within(&format!("{path}.{name}"), value, 0.0..=DURATION_S_MAX);
    }
    if cache.cookies.len() > COOKIES_MAX {
        let message = format!(
            "names {} cookies, at most {COOKIES_MAX}",
            cache.cookies.len()
        );
        found.add(&format!("{path}.cookies"), message);
    }
    for (index, name) in cache.cookies.iter().enumerate() {
        // The name of a cookie is a token, as that of a header is.
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            let message = format!("{name:?} is not the name of a cookie");
            found.add(&format!("{path}.cookies[{index}]"), message);
        }
    }
}
