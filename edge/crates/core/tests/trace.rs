//! Request ids and trace contexts.
#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue};
use mergepoint_edge_core::trace;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[test]
fn a_request_id_is_kept_from_trusted_peers_only() {
    let id = |given: &[&str], trusted| {
        let fields: Vec<_> = given.iter().map(|text| ("x-request-id", *text)).collect();
        let mut headers = map(&fields);
        let id = trace::set_request_id(&mut headers, trusted, 0xabc);
        assert_eq!(
            headers.get_all("x-request-id").iter().collect::<Vec<_>>(),
            [id.as_str()]
        );
        id
    };
    let fresh = format!("{:032x}", 0xabc);
    assert_eq!(id(&["req-1:a/b"], true), "req-1:a/b");
    for (given, trusted) in [
        (&["req-1"][..], false),
        (&["a", "b"], true),
        (&[""], true),
        (&["a b"], true),
        (&["a\u{e9}"], true),
        (&[], true),
    ] {
        assert_eq!(id(given, trusted), fresh, "{given:?}");
    }
    assert_eq!(id(&["x".repeat(129).as_str()], true), fresh);
}

#[test]
fn a_trace_is_continued_if_well_formed_and_started_otherwise() {
    let trace = |given: &[&str]| {
        let mut fields: Vec<_> = given.iter().map(|text| ("traceparent", *text)).collect();
        fields.push(("tracestate", "a=1"));
        let mut headers = map(&fields);
        trace::set_trace(&mut headers, 0x1234, 0x56);
        let kept_state = headers.contains_key("tracestate");
        let sent: Vec<_> = headers
            .get_all("traceparent")
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect();
        (sent.join("|"), kept_state)
    };
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let continued = |flags: &str| (format!("00-{id}-0000000000000056-{flags}"), true);
    assert_eq!(
        trace(&[&format!("00-{id}-00f067aa0ba902b7-01")]),
        continued("01")
    );
    assert_eq!(
        trace(&[&format!("00-{id}-00f067aa0ba902b7-00")]),
        continued("00")
    );
    assert_eq!(
        trace(&[&format!("01-{id}-00f067aa0ba902b7-ff-later")]),
        continued("01")
    );
    let started = (
        "00-00000000000000000000000000001234-0000000000000056-00".to_owned(),
        false,
    );
    let valid = format!("00-{id}-00f067aa0ba902b7-01");
    for given in [vec![], vec![""], vec![valid.as_str(), valid.as_str()]] {
        assert_eq!(trace(&given), started, "{given:?}");
    }
    for text in [
        format!("ff-{id}-00f067aa0ba902b7-01"),
        format!("00-{id}-00f067aa0ba902b7-01-more"),
        format!("00-{id}-0000000000000000-01"),
        format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
        format!("00-{id}-00f067aa0ba902b7-1"),
        format!("00-{id}-+0f067aa0ba902b7-01"),
        format!("00-{id}"),
    ] {
        assert_eq!(trace(&[&text]), started, "{text}");
    }
}
