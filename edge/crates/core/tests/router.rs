//! From host and path to the app.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mergepoint_edge_core::host::Host;
use mergepoint_edge_core::router::Router;
use mergepoint_edge_core::snapshot::{self, Snapshot};
use mergepoint_edge_core::target::NormalPath;
use proptest::prelude::*;

const MINIMAL: &str = include_str!("../../../../tests/golden/snapshot/valid/minimal.json");

fn snapshot(hosts: &[(&str, &[&str])]) -> Snapshot {
    let mut snapshot = Snapshot::parse(MINIMAL.as_bytes()).unwrap();
    for (name, prefixes) in hosts {
        let routes = prefixes.iter().map(|prefix| snapshot::Route {
            prefix: (*prefix).to_owned(),
            app: format!("{name}{prefix}"),
            origin: format!("of {prefix}"),
        });
        snapshot.hosts.push(snapshot::Host {
            name: (*name).to_owned(),
            routes: routes.collect(),
        });
    }
    snapshot
}

fn found(router: &Router, host: &str, path: &str) -> Option<(String, String)> {
    let path = NormalPath::parse(path).unwrap();
    let found = router.route(&Host::parse(host).unwrap(), &path)?;
    Some((found.app.to_owned(), found.rest.clone()))
}

#[test]
fn the_longest_prefix_on_whole_segments_wins() {
    let router = Router::new(&snapshot(&[("*", &["/", "/tickets", "/tickets/admin"])]));
    for (path, app, rest) in [
        ("/", "*/", "/"),
        ("/ticketsx", "*/", "/ticketsx"),
        ("/tickets", "*/tickets", ""),
        ("/tickets/", "*/tickets", "/"),
        ("/tickets/7", "*/tickets", "/7"),
        ("/tickets/adminx", "*/tickets", "/adminx"),
        ("/tickets/admin", "*/tickets/admin", ""),
        ("/tickets/admin/a/b", "*/tickets/admin", "/a/b"),
        ("//tickets", "*/", "//tickets"),
        ("/tickets//admin", "*/tickets", "//admin"),
        ("/Tickets", "*/", "/Tickets"),
        ("/tickets%2Fadmin", "*/", "/tickets%2Fadmin"),
        ("/%74ickets/x", "*/tickets", "/x"),
    ] {
        assert_eq!(
            found(&router, "a.example", path),
            Some((app.to_owned(), rest.to_owned())),
            "{path}"
        );
    }
}

#[test]
fn exact_hosts_beat_wildcards_and_wildcards_beat_the_star() {
    let hosts: [(&str, &[&str]); 5] = [
        ("*", &["/"]),
        ("*.example.org", &["/"]),
        ("*.b.example.org", &["/"]),
        ("a.example.org", &["/only"]),
        ("[2001:db8:0::1]", &["/"]),
    ];
    let router = Router::new(&snapshot(&hosts));
    for (host, app) in [
        ("elsewhere.net", Some("*/")),
        ("example.org", Some("*/")),
        ("x.example.org", Some("*.example.org/")),
        ("x.y.example.org:8080", Some("*.example.org/")),
        ("x.B.Example.Org.", Some("*.b.example.org/")),
        ("a.example.org", None),
        ("[2001:db8::1]:80", Some("[2001:db8:0::1]/")),
        ("127.0.0.1", Some("*/")),
    ] {
        assert_eq!(
            found(&router, host, "/").map(|(app, _)| app).as_deref(),
            app,
            "{host}"
        );
    }
}

#[test]
fn a_site_without_a_root_answers_nothing_outside_its_mounts() {
    let router = Router::new(&snapshot(&[("*", &["/a/b"])]));
    assert_eq!(found(&router, "h", "/a"), None);
    assert_eq!(found(&router, "h", "/a/c"), None);
    assert!(found(&router, "h", "/a/b/c").is_some());
}

fn look_up_time(apps: usize) -> Duration {
    let prefixes: Vec<String> = (0..apps)
        .map(|n| format!("/team{}/app{n}", n % 7))
        .collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let router = Router::new(&snapshot(&[("*", &prefixes)]));
    let host = Host::parse("example.org").unwrap();
    let path = NormalPath::parse(&format!("/team{}/app{}/x", (apps - 1) % 7, apps - 1)).unwrap();
    let best_of = (0..5).map(|_| {
        let started = Instant::now();
        for _ in 0..2_000 {
            assert!(router.route(&host, &path).is_some());
        }
        started.elapsed()
    });
    best_of.min().unwrap()
}

#[test]
fn a_thousand_apps_cost_no_more_than_ten() {
    let (few, many) = (look_up_time(10), look_up_time(1_000));
    assert!(many < few * 8, "{few:?} for 10 apps, {many:?} for 1000");
}

/// The rule of the contract, written as a scan.
fn by_scan<'a>(prefixes: &'a BTreeMap<String, ()>, path: &str) -> Option<&'a String> {
    let holds = |prefix: &str| {
        prefix == "/"
            || path == prefix
            || path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    prefixes
        .keys()
        .filter(|prefix| holds(prefix))
        .max_by_key(|prefix| prefix.len())
}

proptest! {
    #[test]
    fn the_trie_agrees_with_a_scan(
        prefixes in proptest::collection::btree_map("/|(/[ab]{1,2}){1,3}", Just(()), 0..8),
        path in "(/[ab]{0,2}){1,4}",
    ) {
        let names: Vec<&str> = prefixes.keys().map(String::as_str).collect();
        let router = Router::new(&snapshot(&[("*", &names)]));
        let normal = NormalPath::parse(&path).unwrap();
        let host = Host::parse("h").unwrap();
        let got = router.route(&host, &normal);
        prop_assert_eq!(got.as_ref().map(|found| found.prefix), by_scan(&prefixes, &path).map(String::as_str));
        if let Some(found) = got {
            let mount = if found.prefix == "/" { "" } else { found.prefix };
            prop_assert_eq!(format!("{mount}{}", found.rest), path);
        }
    }

    #[test]
    fn any_text_is_a_host_or_refused(text in any::<String>()) {
        if let Ok(host) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(&host.to_string()), Ok(host.clone()));
            prop_assert_eq!(host.name().to_ascii_lowercase(), host.name());
        }
    }
}

#[test]
fn what_looks_like_a_host_but_is_none_is_refused() {
    for text in [
        "",
        ".",
        "a..b",
        ".a",
        "user@host",
        "a b",
        "a/b",
        "a:b",
        "a:0",
        "a:65536",
        "a:080:1",
        "[::1",
        "[::1]x",
        "[a]",
        "::1",
        "a%41",
        "a,b",
        "\u{e9}.org",
        "a:+80",
        "[::1]:",
    ] {
        let accepted = Host::parse(text).is_ok();
        assert_eq!(accepted, text == "[::1]:", "{text:?}");
    }
}
