//! Host, target, method and version.

use mergepoint_edge_core::strict::{Framing, Target};

use crate::request::{accepted, refused};

#[test]
fn a_plain_request_is_let_in_whole() {
    let accepted = accepted("GET /a/%7eb?q=%zz 1.1", &[("host", "A.Example:8080")]);
    assert_eq!(accepted.host.to_string(), "a.example:8080");
    let Target::Resource(target) = accepted.target else {
        panic!()
    };
    assert_eq!(target.to_string(), "/a/~b?q=%zz");
    assert_eq!(accepted.framing, Framing::None);
    assert!(!accepted.websocket && !accepted.expects_continue);
}

#[test]
fn exactly_one_valid_host_is_needed() {
    assert_eq!(refused("GET / 1.1", &[]).1, "edge.host_missing");
    assert_eq!(refused("GET / 1.0", &[]).1, "edge.host_missing");
    assert_eq!(
        refused("GET / 1.1", &[("host", "a"), ("host", "a")]).1,
        "edge.host_repeated"
    );
    for host in [
        "", "a, b", "user@a", "a/b", "a:99999", "[::1", "a\u{e9}", "a..b",
    ] {
        assert_eq!(
            refused("GET / 1.1", &[("host", host)]),
            (400, "edge.host_invalid"),
            "{host:?}"
        );
    }
    assert_eq!(accepted("GET / 1.0", &[("host", "a")]).host.name(), "a");
}

#[test]
fn host_and_authority_must_agree() {
    let host = |line: &str, host: &str| accepted(line, &[("host", host)]).host.to_string();
    assert_eq!(host("GET http://a.example/x 1.1", "a.example"), "a.example");
    assert_eq!(
        host("GET http://a.example:80/x 1.1", "A.Example"),
        "a.example"
    );
    assert_eq!(
        host("GET https://a.example/ 2", "a.example:443"),
        "a.example"
    );
    assert_eq!(
        accepted("GET https://a.example/ 2", &[]).host.to_string(),
        "a.example"
    );
    assert_eq!(
        accepted("GET / 2", &[("host", "a.example")])
            .host
            .to_string(),
        "a.example"
    );
    assert_eq!(
        refused("GET http://a.example/x 1.1", &[("host", "b.example")]).1,
        "edge.host_differs"
    );
    assert_eq!(
        refused("GET http://a.example:81/x 1.1", &[("host", "a.example")]).1,
        "edge.host_differs"
    );
    assert_eq!(
        refused("GET https://a.example/x 2", &[("host", "b.example")]).1,
        "edge.host_differs"
    );
    assert_eq!(
        refused("GET http://a.example/x 1.1", &[]).1,
        "edge.host_missing"
    );
    assert_eq!(
        refused("GET http://u:p@a.example/x 1.1", &[("host", "a.example")]).1,
        "edge.host_invalid"
    );
    assert_eq!(refused("GET / 2", &[]).1, "edge.host_missing");
}

#[test]
fn the_target_is_a_path_an_http_url_or_a_star() {
    let host = [("host", "a.example")];
    assert_eq!(accepted("OPTIONS * 1.1", &host).target, Target::Server);
    for line in [
        "GET * 1.1",
        "GET a.example 1.1",
        "GET a.example:80 1.1",
        "GET ftp://a.example/ 1.1",
        "GET /a/../b 1.1",
        "GET /a%00 1.1",
    ] {
        assert_eq!(refused(line, &host), (400, "edge.target_invalid"), "{line}");
    }
    assert_eq!(
        refused("GET http://a.example/a/%2e%2e 1.1", &host).1,
        "edge.target_invalid"
    );
}

#[test]
fn connect_trace_and_oddly_written_methods_are_refused() {
    let host = [("host", "a.example")];
    assert_eq!(refused("TRACE / 1.1", &host), (405, "edge.method_refused"));
    assert_eq!(
        refused("CONNECT a.example:80 1.1", &host),
        (405, "edge.method_refused")
    );
    for method in ["get", "Post", "GE#T", "A|B"] {
        assert_eq!(
            refused(&format!("{method} / 1.1"), &host),
            (400, "edge.method_invalid"),
            "{method}"
        );
    }
    assert_eq!(
        refused(&format!("{} / 1.1", "A".repeat(33)), &host).1,
        "edge.method_invalid"
    );
    for method in [
        "PROPFIND",
        "M-SEARCH",
        "VERSION-CONTROL",
        "REPORT",
        "UPDATEREDIRECTREF",
    ] {
        accepted(&format!("{method} / 1.1"), &host);
    }
}

#[test]
fn other_versions_are_refused() {
    assert_eq!(
        refused("GET / 0.9", &[("host", "a")]),
        (505, "edge.version")
    );
}
