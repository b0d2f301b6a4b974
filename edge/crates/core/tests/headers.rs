//! Which fields pass, in both directions.
#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue};
use mergepoint_edge_core::cookie;
use mergepoint_edge_core::headers::{strip_request, strip_response};
use proptest::prelude::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn left_of_request(fields: &[(&str, &str)]) -> Vec<String> {
    let mut headers = map(fields);
    strip_request(&mut headers);
    headers.keys().map(ToString::to_string).collect()
}

#[test]
fn no_client_can_set_a_forwarding_or_identity_field() {
    for name in [
        "Forwarded",
        "X-Forwarded-For",
        "X-FORWARDED-PROTO",
        "x-forwarded-host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Client-Cert",
        "X-Forwarded",
        "X-Real-IP",
        "True-Client-IP",
        "X-Client-IP",
        "Client-IP",
        "CF-Connecting-IP",
        "X-Cluster-Client-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-Host",
        "X-Accel-Redirect",
        "X-Sendfile",
        "X-Sendfile-Type",
        "Proxy",
        "X-Script-Name",
        "X-Scheme",
        "Front-End-Https",
        "Remote-User",
        "Remote-Addr",
        "REMOTE-GROUPS",
        "X-Remote-User",
        "X-Auth-Request-Email",
        "SSL-Client-Cert",
        "SSL_CLIENT_S_DN",
        "X-SSL-Client-Verify",
        "X-Client-Cert",
        "X-Client-Cert-Dn",
        "X-Webauth-User",
        "Client-Cert",
        "X-Amzn-Oidc-Identity",
        "Mergepoint-Probe",
        "mergepoint-user",
        "X_Forwarded_For",
        "Remote_User",
        "Content_Length",
        "Transfer_Encoding",
        "Cookie_",
        "_",
    ] {
        assert_eq!(
            left_of_request(&[(name, "x")]),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn ordinary_fields_pass() {
    for name in [
        "accept",
        "authorization",
        "cookie",
        "content-type",
        "content-length",
        "host",
        "origin",
        "user-agent",
        "x-csrftoken",
        "x-requested-with",
        "x-http-method-override",
        "sec-websocket-key",
        "destination",
        "if-none-match",
        "x-user-agent",
        "x-api-key",
        "traceparent",
        "range",
        "via",
        "x-forward",
        "proxied",
        "remotely",
        "sslx",
    ] {
        assert_eq!(left_of_request(&[(name, "x")]), [name]);
    }
}

#[test]
fn fields_of_one_connection_do_not_pass() {
    let fields = [
        ("connection", "keep-alive, X-Hop ,x-other,,upgrade"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("trailer", "X-Sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "x"),
        ("proxy-authorization", "x"),
        ("proxy-connection", "x"),
        ("x-hop", "1"),
        ("x-other", "2"),
        ("x-stays", "3"),
    ];
    assert_eq!(left_of_request(&fields), ["x-stays"]);
}

#[test]
fn connection_cannot_remove_a_field_that_the_message_needs() {
    let kept = [
        "host",
        "content-length",
        "content-type",
        "authorization",
        "cookie",
        "range",
        "if-match",
        "origin",
        "sec-fetch-site",
    ];
    for name in kept {
        assert_eq!(
            left_of_request(&[("connection", name), (name, "x")]),
            [name]
        );
    }
}

#[test]
fn a_worker_cannot_speak_to_the_front_server_through_an_answer() {
    let mut headers = map(&[
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("x-accel-redirect", "/secret"),
        ("x-sendfile", "/etc/passwd"),
        ("mergepoint-tags", "a"),
        ("transfer-encoding", "chunked"),
        ("content-length", "3"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x_app", "kept"),
        ("proxy-authenticate", "x"),
        ("trailer", "x"),
    ]);
    strip_response(&mut headers);
    let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-length", "set-cookie", "x_app"]);
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
}

#[test]
fn cookies_are_found_and_removed_by_their_whole_name() {
    let headers = map(&[("cookie", "a=1; sid=x=y ;b=2"), ("cookie", "sid=second; c")]);
    assert_eq!(cookie::get(&headers, "sid"), Some("x=y"));
    assert_eq!(cookie::get(&headers, "si"), None);
    let mut left = headers.clone();
    cookie::remove(&mut left, "sid");
    assert_eq!(
        left.get_all("cookie").iter().collect::<Vec<_>>(),
        ["a=1; b=2; c"]
    );
    cookie::remove(&mut left, "none");
    assert_eq!(left["cookie"], "a=1; b=2; c");
    let mut alone = map(&[("cookie", "sid=1")]);
    cookie::remove(&mut alone, "sid");
    assert!(!alone.contains_key("cookie"));
}

/// The one list of what no client may send; `tests/edge_python/test_forwarding.py` holds `explain` to it.
fn listed() -> std::collections::BTreeMap<String, Vec<String>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/golden/reserved_headers.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_listed_name_and_beginning_is_removed() {
    let golden = listed();
    let names = golden["hop_by_hop"].iter().chain(&golden["names"]).cloned();
    let begun = golden["prefixes"]
        .iter()
        .map(|start| format!("{start}anything"));
    for name in names.chain(begun) {
        let left = left_of_request(&[(&name, "x")]);
        assert_eq!(left, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn no_name_is_removed_that_is_not_listed() {
    let source = include_str!("../src/headers/names.rs");
    let mut removed: Vec<&str> = Vec::new();
    for function in source.split("fn is_").skip(1) {
        let decides = ["hop_by_hop", "reserved"]
            .iter()
            .any(|name| function.starts_with(name));
        let code = function
            .lines()
            .filter(|line| !line.trim().starts_with("//"));
        let texts = code.flat_map(|line| line.split('"').skip(1).step_by(2));
        if decides {
            removed.extend(texts);
        }
    }
    removed.sort_unstable();
    let golden = listed();
    let mut wanted: Vec<&str> = golden.values().flatten().map(String::as_str).collect();
    wanted.sort_unstable();
    assert!(wanted.len() > 60);
    assert_eq!(removed, wanted);
}

proptest! {
    #[test]
    fn whatever_a_client_sends_nothing_reserved_is_left(
        fields in proptest::collection::vec(
            ("(x-forwarded-|remote[-_]|mergepoint-|x-|connection|x_|te|host)[a-z]{0,6}", "[a-z, -]{0,20}"), 0..12),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let had_host = headers.contains_key("host");
        strip_request(&mut headers);
        prop_assert_eq!(headers.contains_key("host"), had_host);
        for name in headers.keys().map(HeaderName::as_str) {
            prop_assert!(!name.contains('_') && !name.starts_with("x-forwarded") && !name.starts_with("remote-"));
            prop_assert!(!name.starts_with("mergepoint-") && name != "te" && name != "connection");
        }
        let once = headers.clone();
        strip_request(&mut headers);
        prop_assert_eq!(once, headers);
    }
}
