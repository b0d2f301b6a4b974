//! The decisions of the cache, each rule by its own tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod coherence;
mod control;
mod freshness;
mod said;
mod storing;
mod uses;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Fields from pairs; a name may come twice.
pub fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}
