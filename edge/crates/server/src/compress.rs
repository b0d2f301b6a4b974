//! Compression of answers, piece by piece as they stream through.
//!
//! Place:  data path -> [compress] -> hyper
//! Rule:   bounded memory, no byte held back while the app is silent; what may be compressed is
//!         decided by `mergepoint-edge-core::accept`.
//!
//! A secret and a text that the visitor chooses, compressed together, let a listener guess the
//! secret from lengths (the BREACH attack). An app that reflects input beside a secret should vary
//! the secret (frameworks mask their CSRF tokens) or answer with `Cache-Control: no-transform`,
//! which switches compression off for that answer; `compress = false` does it for the whole app.

mod body;
mod encoder;

use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use mergepoint_edge_core::accept::{self, Encoding, Reply};
use mergepoint_edge_core::snapshot::Compression;

use crate::body::Body;
use body::Compressed;
use encoder::Encoder;

/// Encoders at work at once, about 1 MiB each; further answers pass as they are.
pub const ENCODERS_MAX: usize = 256;
/// What the edge can produce; the order breaks ties, and zstd costs the least time for its size.
const OFFERED: [Encoding; 3] = [Encoding::Zstd, Encoding::Br, Encoding::Gzip];
/// Digests of the bytes as the app sent them: true no longer after compression, and then worse than none.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// A place among the encoders at work.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |now: usize| (now < ENCODERS_MAX).then_some(now + 1);
        AT_WORK
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Compress an answer if the client likes it, the app did not forbid it and it is worth it.
///
/// `request` are the headers of the request. An answer that could have been compressed says
/// `Vary: Accept-Encoding` even when it was not.
pub fn apply(
    mut response: Response<Body>,
    method: &Method,
    request: &HeaderMap,
    settings: &Compression,
) -> Response<Body> {
    if !settings.enabled || !allowed(&response, method, settings.bytes_min) {
        return response;
    }
    add_vary(response.headers_mut());
    let encoding = accept::encoding(request, &OFFERED);
    // The answer to HEAD tells what GET would, except for what only the encoder knows.
    if encoding == Encoding::Identity || *method == Method::HEAD {
        return response;
    }
    let Some(place) = Place::take() else {
        return response;
    };
    let Some(encoder) = Encoder::new(encoding) else {
        return response;
    };
    mark(response.headers_mut(), encoding);
    response.map(|body| Compressed::new(body, encoder, place).boxed_unsync())
}

fn allowed(response: &Response<Body>, method: &Method, bytes_min: u64) -> bool {
    let headers = response.headers();
    let head = *method == Method::HEAD;
    let reply = Reply {
        method: if head { &Method::GET } else { method },
        status: response.status(),
        headers,
        length: length(response, head),
    };
    accept::may_compress(reply, bytes_min)
        && !DIGESTS.iter().any(|name| headers.contains_key(*name))
}

/// The length of the body; for HEAD, whose body is empty, what the header says.
fn length(response: &Response<Body>, head: bool) -> Option<u64> {
    let stated = || {
        response
            .headers()
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    };
    if head {
        return stated();
    }
    response.body().size_hint().exact().or_else(stated)
}

fn mark(headers: &mut HeaderMap, encoding: Encoding) {
    headers.insert(
        header::CONTENT_ENCODING,
        HeaderValue::from_static(encoding.as_str()),
    );
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    weaken(headers);
}

/// The bytes differ from those the app tagged, but mean the same: that is a weak tag.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG) else {
        return;
    };
    if tag.as_bytes().starts_with(b"W/") {
        return;
    }
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(header::ETAG, weak),
        Err(_) => headers.remove(header::ETAG),
    };
}

/// Say that the answer depends on `Accept-Encoding`, unless it says so or depends on everything.
pub(crate) fn add_vary(headers: &mut HeaderMap) {
    const NAME: HeaderName = header::ACCEPT_ENCODING;
    let said = headers.get_all(header::VARY).iter().any(|value| {
        let names = value.to_str().unwrap_or("").split(',');
        names
            .map(str::trim)
            .any(|name| name == "*" || name.eq_ignore_ascii_case(NAME.as_str()))
    });
    if !said {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
}

#[cfg(test)]
mod tests;
