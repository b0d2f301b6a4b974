//! Bounds of heads, fields of one connection, and what a refusal says.

use http::HeaderValue;

use crate::request::{accepted, refused, request};

#[test]
fn heads_have_bounds() {
    let mut many = request("GET / 1.1", &[("host", "a")]);
    for n in 0..99 {
        many.headers.append("x-field", HeaderValue::from(n));
    }
    assert!(many.check().is_ok());
    many.headers.append("x-field", HeaderValue::from(0));
    assert_eq!(many.check().unwrap_err().status, 431);
    let long = "x".repeat(65_536);
    assert_eq!(
        refused("GET / 1.1", &[("host", "a"), ("cookie", &long)]),
        (431, "edge.headers_too_large")
    );
    let far = format!("GET /{} 1.1", "x".repeat(8_192));
    assert_eq!(
        refused(&far, &[("host", "a")]),
        (414, "edge.target_too_long")
    );
    accepted(&format!("GET /{} 1.1", "x".repeat(8_191)), &[("host", "a")]);
}

#[test]
fn fields_of_one_connection_have_no_place_in_http_2() {
    for field in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        assert_eq!(
            refused("GET https://a.example/ 2", &[field]),
            (400, "edge.connection_field"),
            "{field:?}"
        );
    }
    accepted("GET https://a.example/ 2", &[("te", "trailers")]);
}

#[test]
fn bytes_outside_ascii_are_refused_where_they_could_change_the_meaning() {
    for name in ["connection", "upgrade"] {
        assert_eq!(
            refused("GET / 1.1", &[("host", "a"), (name, "\u{e9}")]).1,
            "edge.connection_invalid"
        );
    }
    accepted("GET / 1.1", &[("host", "a"), ("cookie", "name=\u{e9}")]);
}

#[test]
fn no_refusal_repeats_what_was_sent() {
    let sent = "<script>";
    for fields in [
        &[("host", sent)][..],
        &[("host", "a"), ("content-length", sent)],
        &[("host", "a"), ("expect", sent)],
    ] {
        assert!(!request("GET / 1.1", fields)
            .check()
            .unwrap_err()
            .message
            .contains(sent));
    }
}
