//! Proof of origin: what another site makes a browser send is refused.

use super::{claims, code, Site};
use crate::stand::{Answer, Worker};

const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn post(site: &Site, path: &str, cookie: Option<&str>, more: &[&str]) -> Answer {
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}"));
    let fields: Vec<&str> = cookie
        .as_deref()
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    site.ask("POST", path, &fields)
}

#[test]
fn an_unsafe_request_with_a_session_must_come_from_this_site() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    for elsewhere in [
        &["Sec-Fetch-Site: cross-site"][..],
        &["Sec-Fetch-Site: same-site"],
        &["Sec-Fetch-Site: cross-site", "Origin: http://site.example"],
        &["Origin: http://evil.example"],
        &["Origin: https://site.example"],
        &["Origin: http://site.example:81"],
        &["Origin: null"],
    ] {
        let answer = post(&site, "/", Some(&cookie), elsewhere);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (403, "csrf.origin"),
            "{elsewhere:?}"
        );
        assert_eq!(
            post(&site, "/hooks/x", Some(&cookie), elsewhere).status,
            200,
            "{elsewhere:?}"
        );
        assert_eq!(
            post(&site, "/open", None, elsewhere).status,
            200,
            "no session, no harm"
        );
    }
    for here in [
        &["Sec-Fetch-Site: same-origin"][..],
        &["Sec-Fetch-Site: none"],
        &["Origin: http://site.example"],
        &[],
    ] {
        assert_eq!(
            post(&site, "/", Some(&cookie), here).status,
            200,
            "{here:?}"
        );
    }
    let read = site.ask(
        "GET",
        "/",
        &[&format!("Cookie: {cookie}"), "Sec-Fetch-Site: cross-site"],
    );
    assert_eq!(read.status, 200, "reading is harmless");
}

#[test]
fn accounts_takes_no_unsafe_request_from_elsewhere_even_without_a_session() {
    let site = Site::start();
    let elsewhere = post(
        &site,
        "/-/accounts/login",
        None,
        &["Sec-Fetch-Site: cross-site"],
    );
    assert_eq!(
        (elsewhere.status, code(&elsewhere).as_str()),
        (403, "csrf.origin")
    );
    assert_eq!(
        post(
            &site,
            "/-/accounts/login",
            None,
            &["Sec-Fetch-Site: same-origin"]
        )
        .status,
        200
    );
}

#[test]
fn another_site_cannot_open_a_tunnel_with_a_visitors_session() {
    let worker = Worker::saying("not switched");
    let site = Site::with(worker, |_| {});
    let cookie = format!("Cookie: {}", site.accounts.cookie(&claims("ada", &[])));
    let shake = |origin: &str| {
        let mut fields = HANDSHAKE.to_vec();
        fields.extend([cookie.as_str(), origin]);
        site.ask("GET", "/ws", &fields)
    };
    let refused = shake("Origin: http://evil.example");
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (403, "csrf.origin")
    );
    assert_eq!(site.worker.count(), 0);
    assert_eq!(shake("Origin: http://site.example").text(), "not switched");
}
