//! From a kept answer to one for a client: conditions, ranges, age.
//!
//! Place: serve.rs, fetch.rs -> [answered] -> exchange.rs
//! Rule:  nothing is waited for here.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use mergepoint_edge_core::cache::conditional;
use mergepoint_edge_core::cache::status::Status;
use mergepoint_edge_core::range::{self, Ranges, Span};
use mergepoint_edge_core::Moment;

use super::entry::Entry;
use crate::body::{self, Body};

/// The answer to a request from an entry.
pub fn from_entry(
    entry: &Entry,
    (method, request): (&Method, &HeaderMap),
    status: Status,
    now: Moment,
) -> Response<Body> {
    let whole = entry.status == StatusCode::OK;
    let mut response = if whole && conditional::is_not_modified(request, &entry.headers) {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.headers_mut() = conditional::not_modified(&entry.headers);
        response
    } else if whole && *method == Method::GET && request.contains_key(header::RANGE) {
        part(entry, request)
    } else {
        all(entry, method)
    };
    let headers = response.headers_mut();
    // What only we believe must not look old to others (RFC 9213 section 2.1).
    if !entry.plan.tell_no_cache && status.forward.is_none() {
        let age = entry.plan.life.age_at(now).as_secs();
        headers.insert(header::AGE, HeaderValue::from(age));
    }
    status.mark(headers);
    response
}

fn all(entry: &Entry, method: &Method) -> Response<Body> {
    let mut response = match *method {
        Method::HEAD => {
            let mut response = Response::new(body::empty());
            if entry.status != StatusCode::NO_CONTENT {
                let length = HeaderValue::from(entry.body.len());
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
            }
            response
        }
        _ => Response::new(body::full(entry.body.clone())),
    };
    *response.status_mut() = entry.status;
    let fields = entry.headers.clone();
    match response.headers().is_empty() {
        true => *response.headers_mut() = fields,
        false => response.headers_mut().extend(fields),
    }
    response
}

/// One range of it; several are answered with all of it, which is allowed and never costs more than was kept.
fn part(entry: &Entry, request: &HeaderMap) -> Response<Body> {
    let size = entry.body.len() as u64;
    let asked = match conditional::range_counts(request, &entry.headers) {
        true => range::parse(request, size),
        false => Ranges::All,
    };
    let (status, content, told) = match asked {
        Ranges::Spans(spans) if spans.len() == 1 => {
            let Span { first, last } = spans[0];
            let (from, to) = (usize::try_from(first), usize::try_from(last));
            let (Ok(from), Ok(to)) = (from, to) else {
                return all(entry, &Method::GET);
            };
            let piece = entry.body.slice(from..=to);
            (
                StatusCode::PARTIAL_CONTENT,
                body::full(piece),
                spans[0].content_range(size),
            )
        }
        Ranges::Unsatisfiable => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            body::empty(),
            format!("bytes */{size}"),
        ),
        _ => return all(entry, &Method::GET),
    };
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = entry.headers.clone();
    if let Ok(told) = HeaderValue::from_str(&told) {
        response.headers_mut().insert(header::CONTENT_RANGE, told);
    }
    response
}
