//! Removing a mount and putting it back.
#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue};
use mergepoint_edge_core::forwarded::Scheme;
use mergepoint_edge_core::host::Host;
use mergepoint_edge_core::prefix::{reference, repair, Mount, Site};
use mergepoint_edge_core::target::NormalPath;
use proptest::prelude::*;

fn repaired(name: &str, text: &str) -> String {
    let host = Host::parse("site.example:8443").unwrap();
    let mut headers = HeaderMap::new();
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    headers.insert(&name, HeaderValue::from_bytes(text.as_bytes()).unwrap());
    repair(
        &mut headers,
        Mount::new("/tickets").unwrap(),
        Site {
            scheme: Scheme::Https,
            host: &host,
        },
    );
    String::from_utf8(headers[&name].as_bytes().to_vec()).unwrap()
}

#[test]
fn the_mount_is_removed_from_paths_in_it_only() {
    let mount = Mount::new("/tickets").unwrap();
    for (path, stripped) in [
        ("/tickets", "/"),
        ("/tickets/", "/"),
        ("/tickets/a//b", "/a//b"),
        ("/tickets//", "//"),
        ("/ticketsx", "/ticketsx"),
        ("/other", "/other"),
    ] {
        assert_eq!(mount.strip(&NormalPath::parse(path).unwrap()), stripped);
    }
    assert_eq!(Mount::new("/"), None);
    assert_eq!(Mount::new(""), None);
    assert_eq!(Mount::new("/a/b/").unwrap().as_str(), "/a/b");
}

#[test]
fn references_into_the_app_get_the_mount() {
    for (text, expected) in [
        ("/", "/tickets/"),
        ("/7?x=1#y", "/tickets/7?x=1#y"),
        ("/ticketsx", "/tickets/ticketsx"),
        (
            "https://site.example:8443/7",
            "https://site.example:8443/tickets/7",
        ),
        (
            "https://Site.Example:8443",
            "https://Site.Example:8443/tickets",
        ),
        (
            "https://site.example:8443?x",
            "https://site.example:8443/tickets/?x",
        ),
        (
            "HTTPS://site.example:8443/a",
            "HTTPS://site.example:8443/tickets/a",
        ),
        ("//site.example:8443/a", "//site.example:8443/tickets/a"),
        ("/\\evil.example", "/tickets/\\evil.example"),
    ] {
        assert_eq!(repaired("location", text), expected, "{text}");
        assert_eq!(repaired("content-location", text), expected, "{text}");
    }
}

#[test]
fn foreign_relative_and_finished_references_stay_byte_for_byte() {
    for text in [
        "",
        "next",
        "./next",
        "../x",
        "?page=2",
        "#top",
        "/tickets",
        "/tickets/7",
        "/tickets?x",
        "/tickets#x",
        "https://site.example:8443/tickets/7",
        "https://site.example/7",
        "http://site.example:8443.evil.example/",
        "https://other.example:8443/7",
        "//other.example/7",
        "https://site.example:8443@evil.example/",
        "mailto:a@b",
        "https:/x",
        "ftp://site.example:8443/",
        "javascript:alert(1)",
        "https://",
        "//",
        "///x",
        "https://[::1/x",
        "/caf\u{e9}",
    ] {
        assert_eq!(repaired("location", text), text);
    }
}

#[test]
fn the_same_site_under_its_other_default_port_is_ours() {
    let host = Host::parse("site.example").unwrap();
    let site = Site {
        scheme: Scheme::Http,
        host: &host,
    };
    let mount = Mount::new("/m").unwrap();
    let fixed = |text| reference(text, mount, site);
    assert_eq!(
        fixed("https://site.example/a").as_deref(),
        Some("https://site.example/m/a")
    );
    assert_eq!(
        fixed("http://site.example:80/a").as_deref(),
        Some("http://site.example:80/m/a")
    );
    assert_eq!(fixed("https://site.example:8443/a"), None);
}

#[test]
fn refresh_keeps_its_form_around_the_address() {
    for (text, expected) in [
        ("5; url=/next", "5; url=/tickets/next"),
        ("0;URL='/next'", "0;URL='/tickets/next'"),
        ("0; url = \"/next\" ", "0; url = \"/tickets/next\" "),
        ("3, /next", "3, /tickets/next"),
        ("3;/next", "3;/tickets/next"),
        ("5", "5"),
        ("5;", "5;"),
        ("5; url=", "5; url="),
        (
            "5; url=https://other.example/",
            "5; url=https://other.example/",
        ),
        ("5; url=next", "5; url=next"),
    ] {
        assert_eq!(repaired("refresh", text), expected, "{text}");
    }
}

#[test]
fn cookies_belong_to_the_mount() {
    for (text, expected) in [
        ("a=1", "a=1; Path=/tickets"),
        ("a=1; Path=/; HttpOnly", "a=1; Path=/tickets; HttpOnly"),
        ("a=1;path=/admin;Secure", "a=1; Path=/tickets/admin;Secure"),
        ("a=1; Path=/ticketsx", "a=1; Path=/tickets/ticketsx"),
        ("a=1; Path=/tickets", "a=1; Path=/tickets"),
        (
            "a=1; Path=/tickets/7; Domain=x",
            "a=1; Path=/tickets/7; Domain=x",
        ),
        (
            "a=1; Path; Domain=site.example",
            "a=1; Path=/tickets; Domain=site.example",
        ),
        ("a=1; Path=relative", "a=1; Path=/tickets"),
        ("a=1; Path=/x; Path=/", "a=1; Path=/x; Path=/tickets"),
        ("path=/; Secure", "path=/; Secure; Path=/tickets"),
        (
            "__Host-sid=1; Secure; Path=/",
            "__Host-sid=1; Secure; Path=/",
        ),
        (
            "__host-sid=1; Secure; Path=/",
            "__host-sid=1; Secure; Path=/",
        ),
        (
            "__Secure-sid=1; Secure; Path=/",
            "__Secure-sid=1; Secure; Path=/tickets",
        ),
    ] {
        assert_eq!(repaired("set-cookie", text), expected, "{text}");
    }
}

#[test]
fn every_cookie_of_an_answer_is_repaired() {
    let host = Host::parse("h").unwrap();
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", "a=1; Path=/".parse().unwrap());
    headers.append("set-cookie", "b=2; Path=/".parse().unwrap());
    repair(
        &mut headers,
        Mount::new("/m").unwrap(),
        Site {
            scheme: Scheme::Http,
            host: &host,
        },
    );
    assert_eq!(
        headers.get_all("set-cookie").iter().collect::<Vec<_>>(),
        ["a=1; Path=/m", "b=2; Path=/m"]
    );
}

proptest! {
    #[test]
    fn repair_is_done_once(
        name in "(location|content-location|refresh|set-cookie)",
        text in "(0; url=|a=1; path=|https://site\\.example:8443|//|http://|)[a-z/?#;=\"'\\\\ .:@]{0,24}",
    ) {
        let once = repaired(&name, &text);
        prop_assert_eq!(repaired(&name, &once), once);
    }

    #[test]
    fn a_repaired_reference_never_leaves_the_host_it_named(text in "[a-z/\\\\:.?#@\\[\\]]{0,30}") {
        let host = Host::parse("site.example").unwrap();
        let mount = Mount::new("/m").unwrap();
        if let Some(new) = reference(&text, mount, Site { scheme: Scheme::Http, host: &host }) {
            let at = new.find("/m").unwrap();
            prop_assert!(text.starts_with(&new[..at]), "{} became {}", text, new);
            prop_assert!(new.ends_with(&text[at..]), "{} became {}", text, new);
            prop_assert!(new[at + 2..].len() <= text[at..].len() + 1);
        }
    }

    #[test]
    fn any_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let host = Host::parse("h").unwrap();
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        for name in ["location", "refresh", "set-cookie"] { headers.insert(name, value.clone()); }
        repair(&mut headers, Mount::new("/m").unwrap(), Site { scheme: Scheme::Http, host: &host });
        prop_assert_eq!(headers.len(), 3);
    }
}
