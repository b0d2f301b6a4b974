//! Which requests of a browser need a proof of origin, and what is one.

use http::Method;
use mergepoint_edge_core::forwarded::Scheme;
use mergepoint_edge_core::host::Host;
use mergepoint_edge_core::identity::csrf::{is_from_elsewhere, is_safe, Asked};

use super::head;

struct Case {
    method: Method,
    host: &'static str,
    scheme: Scheme,
    websocket: bool,
    by_cookie: bool,
    to_accounts: bool,
    exempt: bool,
}

/// A POST with a session cookie to an app of `https://example.org`.
fn post() -> Case {
    Case {
        method: Method::POST,
        host: "example.org",
        scheme: Scheme::Https,
        websocket: false,
        by_cookie: true,
        to_accounts: false,
        exempt: false,
    }
}

impl Case {
    fn refused(&self, fields: &[(&str, &str)]) -> bool {
        is_from_elsewhere(&Asked {
            method: &self.method,
            headers: &head(fields),
            websocket: self.websocket,
            scheme: self.scheme,
            host: &Host::parse(self.host).unwrap(),
            by_cookie: self.by_cookie,
            to_accounts: self.to_accounts,
            exempt: self.exempt,
        })
    }
}

const FOREIGN: [(&str, &str); 1] = [("sec-fetch-site", "cross-site")];

#[test]
fn the_browsers_own_word_decides() {
    for (site, refused) in [
        ("same-origin", false),
        ("none", false),
        ("same-site", true),
        ("cross-site", true),
        ("", true),
        ("Same-Origin", true),
        ("same-origin, cross-site", true),
    ] {
        assert_eq!(
            post().refused(&[("sec-fetch-site", site)]),
            refused,
            "{site}"
        );
    }
    let twice = [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "cross-site"),
    ];
    assert!(post().refused(&twice));
}

#[test]
fn the_browsers_word_counts_before_the_origin() {
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://example.org"),
    ];
    assert!(post().refused(&foreign));
    let own = [
        ("sec-fetch-site", "same-origin"),
        ("origin", "https://evil.example"),
    ];
    assert!(!post().refused(&own));
}

#[test]
fn an_origin_must_be_this_scheme_host_and_port() {
    for (origin, refused) in [
        ("https://example.org", false),
        ("https://example.org:443", false),
        ("https://EXAMPLE.org", false),
        ("http://example.org", true),
        ("https://example.org:8443", true),
        ("https://example.org.evil.example", true),
        ("https://evil.example", true),
        ("https://sub.example.org", true),
        ("https://example.org/", true),
        ("https://example.org@evil.example", true),
        ("example.org", true),
        ("null", true),
        ("", true),
        ("https://example.org https://evil.example", true),
    ] {
        assert_eq!(post().refused(&[("origin", origin)]), refused, "{origin}");
    }
    let twice = [
        ("origin", "https://example.org"),
        ("origin", "https://example.org"),
    ];
    assert!(post().refused(&twice));
}

#[test]
fn an_origin_with_a_port_belongs_to_a_host_with_that_port() {
    let local = Case {
        host: "localhost:8000",
        scheme: Scheme::Http,
        ..post()
    };
    assert!(!local.refused(&[("origin", "http://localhost:8000")]));
    assert!(local.refused(&[("origin", "http://localhost")]));
    assert!(local.refused(&[("origin", "http://localhost:3000")]));
}

#[test]
fn a_program_that_is_no_browser_passes() {
    assert!(!post().refused(&[]));
    assert!(!post().refused(&[("referer", "https://evil.example/")]));
}

#[test]
fn what_changes_nothing_or_was_not_proven_by_cookie_needs_no_proof() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert!(is_safe(&method));
        assert!(!Case { method, ..post() }.refused(&FOREIGN));
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert!(!is_safe(&method));
        assert!(Case { method, ..post() }.refused(&FOREIGN));
    }
    assert!(!Case {
        by_cookie: false,
        ..post()
    }
    .refused(&FOREIGN));
}

#[test]
fn a_websocket_opened_with_a_cookie_needs_a_proof_even_on_an_exempt_path() {
    let socket = Case {
        method: Method::GET,
        websocket: true,
        exempt: true,
        ..post()
    };
    assert!(socket.refused(&FOREIGN));
    assert!(!socket.refused(&[("origin", "https://example.org")]));
    assert!(!Case {
        by_cookie: false,
        ..socket
    }
    .refused(&FOREIGN));
}

#[test]
fn an_exempt_path_takes_unsafe_requests_from_anywhere() {
    assert!(!Case {
        exempt: true,
        ..post()
    }
    .refused(&FOREIGN));
}

#[test]
fn nobody_is_logged_in_from_elsewhere() {
    let login = Case {
        by_cookie: false,
        to_accounts: true,
        ..post()
    };
    assert!(login.refused(&FOREIGN));
    assert!(Case {
        exempt: true,
        ..login
    }
    .refused(&FOREIGN));
    let page = Case {
        method: Method::GET,
        by_cookie: false,
        to_accounts: true,
        ..post()
    };
    assert!(!page.refused(&FOREIGN));
}
