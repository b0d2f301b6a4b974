//! A head that is let in names one host, ends in one way, and carries nothing reserved to the worker.
//!
//! Input: lines; the first is `METHOD TARGET VERSION`, the others are `name:value`.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::forwarded::{Origin, Scheme};
use mergepoint_edge_core::snapshot::Limits;
use mergepoint_edge_core::{headers, strict, trace};

const LIMITS: Limits = Limits {
    header_bytes_max: 65_536,
    headers_max: 100,
    target_bytes_max: 8_192,
    header_timeout_s: 1.0,
    idle_timeout_s: 1.0,
    body_idle_timeout_s: 1.0,
    connections_max: 1,
    h2_streams_max: 1,
    drain_s: 1.0,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((method, uri, version, mut fields)) = head(bytes) else { return };
    let head = strict::Head { method: &method, uri: &uri, version, headers: &fields };
    let Ok(accepted) = strict::check(head, &LIMITS) else { return };
    for name in ["host", "content-length", "transfer-encoding"] {
        assert!(fields.get_all(name).iter().count() <= 1);
    }
    assert!(!fields.contains_key("content-length") || !fields.contains_key("transfer-encoding"));
    let origin = Origin::evaluate(&fields, None, Scheme::Http, &accepted.host, &[]);
    headers::strip_request(&mut fields);
    assert!(fields.keys().all(|name| !name.as_str().contains('_') && !name.as_str().starts_with("x-forwarded")));
    origin.apply(&mut fields, "/mount");
    trace::set_request_id(&mut fields, true, 1);
    trace::set_trace(&mut fields, 1, 1);
    assert_eq!(fields.get_all("forwarded").iter().count(), 1);
    assert_eq!(fields.get_all("x-request-id").iter().count(), 1);
});

fn head(bytes: &[u8]) -> Option<(Method, Uri, Version, HeaderMap)> {
    let mut lines = bytes.split(|b| *b == b'\n');
    let mut first = lines.next()?.split(|b| *b == b' ');
    let method = Method::from_bytes(first.next()?).ok()?;
    let uri = Uri::try_from(first.next()?).ok()?;
    let version = match first.next()? {
        b"1.0" => Version::HTTP_10,
        b"2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let mut fields = HeaderMap::new();
    for line in lines.take(64) {
        let at = line.iter().position(|b| *b == b':')?;
        let name = HeaderName::from_bytes(line.get(..at)?).ok()?;
        fields.append(name, HeaderValue::from_bytes(line.get(at + 1..)?).ok()?);
    }
    Some((method, uri, version, fields))
}
