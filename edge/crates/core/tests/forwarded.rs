//! Where a request comes from, and what the worker is told about it.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use mergepoint_edge_core::forwarded::{Origin, Scheme};
use mergepoint_edge_core::host::Host;
use proptest::prelude::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn origin(fields: &[(&str, &str)], peer: &str) -> Origin {
    let trusted = [
        "10.0.0.0/8".parse().unwrap(),
        "2001:db8::/32".parse().unwrap(),
    ];
    let host = Host::parse("inner.example:8080").unwrap();
    Origin::evaluate(
        &map(fields),
        peer.parse().ok(),
        Scheme::Http,
        &host,
        &trusted,
    )
}

fn client(forwarded_for: &[&str], peer: &str) -> String {
    let fields: Vec<_> = forwarded_for
        .iter()
        .map(|text| ("x-forwarded-for", *text))
        .collect();
    origin(&fields, peer)
        .client
        .map(|client| client.to_string())
        .unwrap_or_default()
}

#[test]
fn the_visitor_is_the_rightmost_address_that_is_not_trusted() {
    for (forwarded_for, peer, visitor) in [
        (&["1.1.1.1"][..], "9.9.9.9", "9.9.9.9"),
        (&[], "10.0.0.1", "10.0.0.1"),
        (&["1.1.1.1"], "10.0.0.1", "1.1.1.1"),
        (&["6.6.6.6, 1.1.1.1"], "10.0.0.1", "1.1.1.1"),
        (&["6.6.6.6, 1.1.1.1, 10.0.0.2"], "10.0.0.1", "1.1.1.1"),
        (&["6.6.6.6", "1.1.1.1", "10.0.0.2"], "10.0.0.1", "1.1.1.1"),
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.1", "10.0.0.3"),
        (&["1.1.1.1, nonsense"], "10.0.0.1", "10.0.0.1"),
        (&["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.1", "10.0.0.2"),
        (&["1.1.1.1:4711"], "10.0.0.1", "1.1.1.1"),
        (&["[2001:db9::5]:80"], "10.0.0.1", "2001:db9::5"),
        (
            &["2001:db9::5, 2001:db8::1"],
            "::ffff:10.0.0.1",
            "2001:db9::5",
        ),
        (&["::ffff:1.1.1.1"], "10.0.0.1", "1.1.1.1"),
        (&["1.1.1.1"], "a unix socket", "1.1.1.1"),
        (&[], "a unix socket", ""),
    ] {
        assert_eq!(
            client(forwarded_for, peer),
            visitor,
            "{forwarded_for:?} from {peer}"
        );
    }
}

#[test]
fn scheme_and_host_are_believed_from_trusted_proxies_only() {
    let told = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "Outer.example"),
    ];
    let trusted = origin(&told, "10.0.0.1");
    assert_eq!(
        (
            trusted.scheme,
            trusted.host.to_string().as_str(),
            trusted.port()
        ),
        (Scheme::Https, "outer.example", 443)
    );
    let stranger = origin(&told, "9.9.9.9");
    assert_eq!(
        (
            stranger.scheme,
            stranger.host.to_string().as_str(),
            stranger.port()
        ),
        (Scheme::Http, "inner.example:8080", 8080)
    );
    assert!(trusted.trusted && !stranger.trusted);
    let odd = origin(
        &[("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a/b")],
        "10.0.0.1",
    );
    assert_eq!(
        (odd.scheme, odd.host.name()),
        (Scheme::Http, "inner.example")
    );
}

#[test]
fn lists_of_schemes_are_read_where_the_first_trusted_proxy_wrote() {
    let two_hops = [
        ("x-forwarded-for", "1.1.1.1, 10.0.0.2"),
        ("x-forwarded-proto", "http, https, http"),
    ];
    assert_eq!(origin(&two_hops, "10.0.0.1").scheme, Scheme::Https);
    let forged_for = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-proto", "https, http"),
    ];
    assert_eq!(origin(&forged_for, "10.0.0.1").scheme, Scheme::Http);
}

fn applied(origin: &Origin, mount: &str) -> Vec<(String, String)> {
    let mut headers = HeaderMap::new();
    origin.apply(&mut headers, mount);
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    fields.sort();
    fields
}

#[test]
fn the_worker_is_told_afresh() {
    let told = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outer.example"),
        ("x-forwarded-for", "1.1.1.1"),
    ];
    let fields = applied(&origin(&told, "10.0.0.1"), "/tickets");
    let expected = [
        ("forwarded", "for=1.1.1.1;host=outer.example;proto=https"),
        ("host", "outer.example"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-host", "outer.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/tickets"),
        ("x-forwarded-proto", "https"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    assert_eq!(fields, expected);
    let from_v6 = applied(&origin(&[], "2001:db9::5"), "/");
    assert_eq!(
        from_v6[0].1,
        "for=\"[2001:db9::5]\";host=\"inner.example:8080\";proto=http"
    );
    assert!(!from_v6.iter().any(|(name, _)| name == "x-forwarded-prefix"));
    let from_socket = applied(&origin(&[], "a unix socket"), "/");
    assert_eq!(
        from_socket[0].1,
        "for=unknown;host=\"inner.example:8080\";proto=http"
    );
}

proptest! {
    #[test]
    fn an_untrusted_peer_is_always_the_visitor(text in "[0-9., a:\\[\\]]{0,40}", last in 1u8..255) {
        let peer = IpAddr::from([192, 0, 2, last]);
        let origin = origin(&[("x-forwarded-for", &text)], &peer.to_string());
        prop_assert_eq!(origin.client, Some(peer));
    }

    #[test]
    fn what_is_told_is_always_one_clean_line(bytes in proptest::collection::vec(32u8..=255, 0..60)) {
        let mut headers = HeaderMap::new();
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) { headers.insert(name, value); }
        }
        let host = Host::parse("h").unwrap();
        let origin = Origin::evaluate(&headers, None, Scheme::Https, &host, &[]);
        let fields = applied(&origin, "/m");
        prop_assert!(fields.iter().any(|(name, value)| name == "forwarded" && value.ends_with(";proto=https")));
    }
}
