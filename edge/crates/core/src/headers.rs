//! Which fields may pass, in both directions.
//!
//! Place: called by the server for every request it sends to a worker and every response it sends to a client.
//! Rule: whatever a worker might take for a statement of the edge comes from the edge or not at all.

use http::header::{self, HeaderMap, HeaderName};

use crate::cookie::list_tokens;

mod names;

/// Removes what a client may not say to a worker: hop-by-hop fields, forwarding and identity fields, names with `_`
/// (a CGI-style worker cannot tell `X_A` from `X-A`), everything of `Mergepoint-*`, and trailers' announcements.
pub fn strip_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    remove_where(headers, |name| {
        names::is_reserved(name) || name.contains('_')
    });
}

/// Whether a site may name this field, in lower case, as one that tells apps who asks: it ends at the app, is the edge's
/// own to give, and has no other meaning to the edge or in HTTP.
pub fn may_carry_identity(name: &str) -> bool {
    !(name.contains('_')
        || names::is_hop_by_hop(name)
        || names::is_end_to_end(name)
        || names::is_spoken_for(name))
}

/// Whether the client's own value of this field reaches the app: the edge does not put another in its place. Scheme and
/// host are part of every key, so an answer may vary by how they are told.
pub fn is_the_clients(name: &HeaderName) -> bool {
    const KEYED: [&str; 3] = ["x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];
    let name = name.as_str();
    KEYED.contains(&name)
        || !names::is_reserved(name)
            && !matches!(name, "traceparent" | "tracestate" | "x-request-id")
}

/// Removes what a worker may not say to a client: hop-by-hop fields, directives to a front server, `Mergepoint-*`.
pub fn strip_response(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    remove_where(headers, names::is_directive);
}

/// Removes the fields of one connection and every field that Connection names, except those whose absence would change
/// what the message means: no sender may name them (RFC 9110 section 7.6.1).
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(list_tokens)
        // In nearly every Connection field of a worker, and no name of a field that anybody sends.
        .filter(|token| !token.eq_ignore_ascii_case("close") && !names::is_hop_by_hop(token))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !names::is_end_to_end(name.as_str()))
        .collect();
    for name in named {
        headers.remove(name);
    }
    remove_where(headers, names::is_hop_by_hop);
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}
