//! The key that keeps like requests on one slot.
//!
//! Place: before `choose`, for the balance rules path, header and cookie.
//! Rule: equal text gives an equal key in every process and version; no text gives no key, and then load decides.

use http::header::HeaderMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::cookie;
use crate::snapshot::{Balance, BalanceBy};

/// The key of a request; `rest` is its path under the mount. `None` when the rule has no key or the request lacks it.
pub fn key(balance: &Balance, rest: &str, headers: &HeaderMap) -> Option<u64> {
    let text = match balance.by {
        BalanceBy::Path => Some(leading_segments(rest, balance.segments)),
        BalanceBy::Header => headers
            .get(balance.name.as_str())
            .map(|value| value.as_bytes()),
        BalanceBy::Cookie => cookie::get(headers, &balance.name).map(str::as_bytes),
        BalanceBy::Least | BalanceBy::Sticky => None,
    };
    text.filter(|text| !text.is_empty()).map(xxh3_64)
}

fn leading_segments(rest: &str, segments: usize) -> &[u8] {
    let path = rest.trim_start_matches('/');
    let end = path
        .match_indices('/')
        .nth(segments.max(1) - 1)
        .map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or(path).as_bytes()
}
